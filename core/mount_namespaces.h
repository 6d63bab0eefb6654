// SPDX-License-Identifier: Apache-2.0
//
// Who has a file system mounted: the mount namespaces of all processes, as far as /proc shows them.
// A namespace that only a descriptor or a bind mount keeps alive does not show. Any thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "core/mountinfo.h"

namespace overlayd {

struct MountNamespace {
  uint64_t number = 0;  ///< as in the target of /proc/<pid>/ns/mnt
  bool is_own = false;  ///< this process is in it
  std::vector<pid_t> processes;
  std::string command;  ///< the name of the first process
  std::vector<MountEntry> mounts;
};

/// Sorted by the first process. Processes that end meanwhile, or may not be looked at, are left
/// out. Throws SysError without /proc.
std::vector<MountNamespace> read_mount_namespaces();

/// Whether two mounts, in whatever namespaces, show the same directory of the same file system.
bool show_the_same(const MountEntry& one, const MountEntry& other);

}  // namespace overlayd
