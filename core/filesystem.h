// SPDX-License-Identifier: Apache-2.0
//
// What a file system says about itself. Any thread.
#pragma once

#include <string>

namespace overlayd {

/// Docker's name for the file system that holds the open file `fd` ("extfs", "xfs", "overlayfs",
/// …), or "unknown". Never throws for a name it lacks; SysError if statfs(2) fails.
std::string filesystem_name(int fd);

/// True when directory listings carry entry types, which overlayfs needs of its upper layer (XFS
/// made with ftype=0 has none). Makes and removes a file in `dirfd`, which must be writable.
bool reports_d_type(int dirfd);

}  // namespace overlayd
