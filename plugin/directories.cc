// SPDX-License-Identifier: Apache-2.0
#include "plugin/directories.h"

#include <fcntl.h>

#include "core/sys.h"

namespace overlayd {

void make_directories(const std::filesystem::path& path, mode_t mode) {
  if (path.empty() || std::filesystem::is_directory(path)) return;
  make_directories(path.parent_path(), mode);
  sys::mkdirat(AT_FDCWD, path, mode);
}

}  // namespace overlayd
