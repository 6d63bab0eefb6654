// SPDX-License-Identifier: Apache-2.0
//
// LayerDigests: the file `digests` of a layer, in which ApplyDiff has written down every file that
// it made, so that a later look finds what has changed since. Directories, times and extended
// attributes are not in it.
//
//   overlayd digests 1\0
//   <kind> <mode> <uid> <gid> <size> <digest> <path>\0    one a file, in no particular order
//   = <digest>\0                                          of all before it
//
//   kind     f regular   size and digest (core/content_digest.h) of its content
//            l symlink   of its target
//            h           a hard link: the digest is that of the path of the file that it is the
//                        same as; the rest is 0
//            c b         a device, whose number is the size
//            p w         a pipe, a whiteout
//   mode     the twelve bits, octal
//   uid gid  as on disk; 0 of a whiteout, whose owner nobody asks for
//   path     in the layer, without symlinks on the way, any bytes but NUL
//
// `tr '\0' '\n'` shows it.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "core/content_digest.h"
#include "core/merged_dir.h"
#include "core/unique_fd.h"

namespace overlayd {

enum class FileKind : char {
  Regular = 'f',
  Symlink = 'l',
  HardLink = 'h',
  CharDevice = 'c',
  BlockDevice = 'b',
  Fifo = 'p',
  Whiteout = 'w',
  Socket = 's',  ///< never recorded: no tar has one
};

struct RecordedFile {
  FileKind kind = FileKind::Regular;
  mode_t mode = 0;
  uid_t uid = 0;
  gid_t gid = 0;
  uint64_t size = 0;
  Digest digest = {};
  std::string path = {};
  bool operator==(const RecordedFile&) const = default;
};

/// Writes the record of one layer. One thread.
class DigestsWriter {
 public:
  /// Into an empty file that is open for writing.
  explicit DigestsWriter(UniqueFd file);

  void add(const RecordedFile& file);
  /// Forgets what was added.
  void start_over();
  /// To be called once, as the last. Gives the file back.
  UniqueFd finish();

 private:
  void begin();
  void end_line();
  void write();

  UniqueFd file_;
  std::string pending_;
  uint64_t written_ = 0;
  ContentDigest digest_;
};

/// Tells `sink` all that is recorded in an open file. Throws Error(Corrupt) when it is not what a
/// DigestsWriter wrote, which is known only at its end: what was told before is then worth nothing.
void read_digests(int file, const std::function<void(RecordedFile)>& sink);

/// Finds out what files are. One thread.
class FileReader {
 public:
  FileReader();
  /// What is there now, content included. Throws SysError: ENOENT when it has vanished.
  RecordedFile read(const MergedDir::Entry& entry, std::string path);

 private:
  Digest digest_of_content(int file, uint64_t size) const;

  std::unique_ptr<std::byte[]> buffer_;
};

/// Records every file below the open directory `root`.
void record_tree(int root, DigestsWriter& writer);

}  // namespace overlayd
