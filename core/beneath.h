// SPDX-License-Identifier: Apache-2.0
//
// Opening a path that a stranger chose, inside a directory tree that the stranger filled. Symlinks
// on the way are followed as if the tree were the whole file system (absolute targets and ".." stay
// inside), magic links never; the kernel does it in one step, so nobody can swap a component in
// between. openat2(2) with RESOLVE_IN_ROOT, Linux 5.6. Any thread.
#pragma once

#include <string>

#include "core/unique_fd.h"

namespace overlayd {

/// The directory `path` below `root`, readable. An empty owner when a component is missing
/// (ENOENT). Throws SysError: ENOTDIR for a component that is no directory, ELOOP for too many
/// symlinks.
UniqueFd try_open_directory_in(int root, const std::string& path);

}  // namespace overlayd
