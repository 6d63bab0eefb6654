// SPDX-License-Identifier: Apache-2.0
//
// Opening a path that a stranger chose, inside a directory tree that the stranger filled. No
// symlink is followed, so the path is where the directory really is; who wants them followed does
// that one component at a time (core/layer_directories.h). openat2(2), Linux 5.6. Any thread.
#pragma once

#include <string>

#include "core/unique_fd.h"

namespace overlayd {

/// The directory `path` below `root`, readable; "" is `root` itself. An empty owner when a
/// component is missing or is no directory, which a symlink to one is not.
UniqueFd try_open_directory_beneath(int root, const std::string& path);

}  // namespace overlayd
