// SPDX-License-Identifier: Apache-2.0
//
// The kernel's mount table as values. parse_mountinfo is pure; read_mountinfo shows the mount
// namespace of a process. Format: proc(5), "/proc/pid/mountinfo", and
// Documentation/filesystems/proc.rst, 3.5. Plain values, free to share between threads.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace overlayd {

/// One line. Names are raw bytes with the kernel's octal escapes undone, not necessarily UTF-8.
struct MountEntry {
  uint64_t id = 0;      ///< reused by the kernel after unmounting
  uint64_t parent = 0;  ///< id of the mount it lies on
  unsigned major = 0;   ///< device number of the file system: st_dev of what is below
  unsigned minor = 0;
  std::string root;                          ///< the part of the file system that is mounted
  std::string mount_point;                   ///< as seen from this process' root
  std::string mount_options;                 ///< of this mount: "rw,relatime"
  std::vector<std::string> optional_fields;  ///< "shared:3", "master:1", …; others may come
  std::string fs_type;
  std::string source;
  std::string super_options;  ///< of the file system, escapes undone
  bool operator==(const MountEntry&) const = default;
};

/// The lines of `text` in their order, which is the kernel's: a mount comes after the one it lies
/// on unless it was moved. Throws Error(Corrupt) quoting the first line that is not mountinfo.
std::vector<MountEntry> parse_mountinfo(std::string_view text);

/// The mount table of a process (of the calling one), whatever its size (an overlay of 500 layers
/// has a line of 30 KiB and more). It is not a snapshot: mounts that come or go meanwhile may be
/// missed or seen, others are seen once. Throws SysError without /proc, or when the process is
/// gone.
std::vector<MountEntry> read_mountinfo(const std::string& process = "/proc/self");

}  // namespace overlayd
