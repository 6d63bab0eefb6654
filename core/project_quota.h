// SPDX-License-Identifier: Apache-2.0
//
// Project quotas as the kernel has them, whatever the file system: a number in each inode says
// which project it counts for, a directory hands its own down to what is made in it, and the file
// system counts and limits each project. Ext4 and xfs have them. quotactl_fd(2), Linux 5.14;
// <linux/fs.h>, struct fsxattr. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace overlayd {

using ProjectId = uint32_t;

/// Both ends are part of it.
struct ProjectRange {
  ProjectId first, last;
  bool operator==(const ProjectRange&) const = default;
};

/// 0 is no limit.
struct QuotaLimits {
  uint64_t bytes = 0;  ///< of blocks on the disk; the kernel rounds up to 1024
  uint64_t inodes = 0;
  bool any() const { return bytes != 0 || inodes != 0; }
  bool operator==(const QuotaLimits&) const = default;
};

/// What a project may have, and has.
struct ProjectUsage {
  QuotaLimits limits;
  uint64_t bytes = 0, inodes = 0;
  bool operator==(const ProjectUsage&) const = default;
};

/// What a directory says of itself. {0, false} where the file system has no projects.
struct ProjectMark {
  ProjectId id = 0;
  bool is_handed_down = false;  ///< what is made in the directory gets the same mark
  bool operator==(const ProjectMark&) const = default;
};

/// `directory` must be open for reading.
ProjectMark project_of(int directory);
/// Marks an empty directory, and so all that will be made in it.
void set_project(int directory, ProjectId id);

/// Why no project can be limited on the file system of the open file `fd`: what is missing, and
/// what would help. nullopt when one can.
std::optional<std::string> obstacle_to_project_quotas(int fd);

/// Of a project that nothing is known of: nothing. Throws SysError where quotas are off.
ProjectUsage usage_of_project(int fd, ProjectId id);
/// Sets both limits. What is there already stays, however much it is.
void limit_project(int fd, ProjectId id, const QuotaLimits& limits);

}  // namespace overlayd
