// SPDX-License-Identifier: Apache-2.0
//
// What a directory takes of its file system, as du(1) counts it. Any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace overlayd {

struct DiskUsage {
  uint64_t bytes = 0;   ///< blocks on the disk, not lengths of files
  uint64_t inodes = 0;  ///< each once, however many names it has
  uint64_t unread = 0;  ///< files and directories that could not be looked at

  DiskUsage& operator+=(const DiskUsage& other) {
    bytes += other.bytes;
    inodes += other.inodes;
    unread += other.unread;
    return *this;
  }
  bool operator==(const DiskUsage&) const = default;
};

/// Of `path` below `dirfd` and all that it holds, but for what is mounted below it. Nothing when it
/// is not there. The tree may change meanwhile: what vanishes before it is looked at is left out.
/// `progress` is told what has been found, after each directory. Needs no more stack however deep
/// the tree is. Throws SysError for want of descriptors or memory; what cannot be read otherwise is
/// counted.
DiskUsage disk_usage(int dirfd, const std::string& path,
                     const std::function<void(const DiskUsage&)>& progress = {});

}  // namespace overlayd
