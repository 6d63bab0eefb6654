// SPDX-License-Identifier: Apache-2.0
//
// FileFiller: gives files of a layer that were just made their data and attributes, while their
// maker goes on making more. Making a file is half of the kernel's work; this is the other half.
// Done in a thread of its own, some way behind, unless the files are few: three batches of up to
// 64, and 32 that are done with, may be open. One thread uses an object.
#pragma once

#include <ctime>
#include <memory>

#include "core/attributes.h"
#include "core/tar_blame.h"
#include "core/tar_reader.h"
#include "core/unique_fd.h"
#include "core/write_back.h"

namespace overlayd {

/// A new and empty file, and what shall become of it.
struct NewFile {
  UniqueFd fd;  ///< open for writing
  TarMember member;
  uint64_t size = 0;
  Attributes attributes;
  timespec mtime = {};
};

class FileFiller {
 public:
  /// `write_back`, which must outlive this and nobody else may use meanwhile, gets the files that
  /// have data; null: they are closed.
  explicit FileFiller(WriteBack* write_back);
  /// Closes what is not filled.
  ~FileFiller();
  FileFiller(const FileFiller&) = delete;
  FileFiller& operator=(const FileFiller&) = delete;

  /// The file that the next data is for.
  void begin(NewFile file);
  /// `data.buffer` keeps it, and is let go by any thread. Up to 48 different ones are kept.
  void add(TarReader::Data data);

  /// To be called before a wait for more, so that nothing is kept meanwhile but a little: the data
  /// of two buffers.
  void hand_over();

  /// True when a file could not be filled. What comes behind it is passed over; finish() throws.
  bool has_failed() const;

  /// Returns when all files are filled; to be called once, as the last. Throws Error naming the
  /// first one that could not be, as core/tar_blame.h says.
  void finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace overlayd
