// SPDX-License-Identifier: Apache-2.0
//
// What is mounted in a store, as the mount table of this process shows it. Any thread.
#pragma once

#include <string>
#include <vector>

#include "core/mountinfo.h"

namespace overlayd {

struct StoreMount {
  std::string below;  ///< the mount point, relative to the home
  std::string layer;  ///< X of a mount point X/merged, whether X is a layer or not; else empty
  MountEntry entry;
};

/// All mounts below the open directory `home`, in the order of the table. Throws SysError.
std::vector<StoreMount> mounts_in_store(int home);

}  // namespace overlayd
