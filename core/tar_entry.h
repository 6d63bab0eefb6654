// SPDX-License-Identifier: Apache-2.0
//
// TarEntry: the vocabulary that the tar reader and the tar writer share: one member of a layer tar,
// without its data. Plain value; ids are the tar's own (container) ids.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace overlayd {

/// The values are the ustar type flags.
enum class TarType : char {
  Regular = '0',
  HardLink = '1',
  Symlink = '2',
  CharDevice = '3',
  BlockDevice = '4',
  Directory = '5',
  Fifo = '6',
};

struct TarTime {
  int64_t seconds = 0;  ///< since 1970, may be negative
  int32_t nanoseconds = 0;
  bool operator==(const TarTime&) const = default;
};

struct TarEntry {
  std::string name = {};  ///< raw bytes as in the tar; a directory's may end in '/'
  TarType type = TarType::Regular;
  uint32_t mode = 0;  ///< the 12 permission bits
  uint64_t uid = 0, gid = 0;
  uint64_t size = 0;  ///< of the data that follows; 0 for everything but regular files
  TarTime mtime = {};
  std::string link_name = {};  ///< target of a symlink or hard link
  uint32_t dev_major = 0, dev_minor = 0;
  /// Extended attributes by full name ("security.capability"), values are bytes. In a tar they are
  /// the PAX records "SCHILY.xattr.<name>".
  std::map<std::string, std::string> xattrs = {};

  bool operator==(const TarEntry&) const = default;
};

}  // namespace overlayd
