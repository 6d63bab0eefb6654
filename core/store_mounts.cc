// SPDX-License-Identifier: Apache-2.0
#include "core/store_mounts.h"

#include <fcntl.h>

#include <filesystem>
#include <utility>

#include "core/layout.h"
#include "core/sys.h"

namespace overlayd {

std::vector<StoreMount> mounts_in_store(int home) {
  // The mount table shows resolved paths; the home we were given may go through symlinks.
  const std::string prefix = sys::readlinkat(AT_FDCWD, sys::fd_path(home)) + "/";
  std::vector<StoreMount> mounts;
  for (MountEntry& entry : read_mountinfo()) {
    if (!entry.mount_point.starts_with(prefix)) continue;
    const std::filesystem::path below = entry.mount_point.substr(prefix.size());
    const bool is_place = below.filename() == layout::kMerged;
    mounts.push_back({.below = below.string(),
                      .layer = is_place ? below.parent_path().string() : std::string(),
                      .entry = std::move(entry)});
  }
  return mounts;
}

}  // namespace overlayd
