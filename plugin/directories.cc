// SPDX-License-Identifier: Apache-2.0
#include "plugin/directories.h"

#include <fcntl.h>

#include "core/sys.h"

namespace overlayd {

void make_directories(const std::filesystem::path& path) {
  if (path.empty() || std::filesystem::is_directory(path)) return;
  make_directories(path.parent_path());
  sys::mkdirat(AT_FDCWD, path, 0755);
}

}  // namespace overlayd
