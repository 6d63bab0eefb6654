// SPDX-License-Identifier: Apache-2.0
//
// What is mounted in a store, and what of a store is mounted, as mount tables show it. Any thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/mount_namespaces.h"
#include "core/mountinfo.h"

namespace overlayd {

struct StoreMount {
  std::string below;  ///< the mount point, relative to the home
  std::string layer;  ///< X of a mount point X/merged, whether X is a layer or not; else empty
  MountEntry entry;
};

/// All mounts below the open directory `home`, in the order of the table. Throws SysError.
std::vector<StoreMount> mounts_in_store(int home);

/// A layer that is mounted, wherever: as a container's root directory, say.
struct LayerMount {
  std::string layer;  ///< its id
  std::string mount_point;
  pid_t process = 0;  ///< the first one that sees it there
  std::string command;
};

/// By id, the layers that some overlay shows as its own: its upper layer or, if it is read-only,
/// the nearest lower one. `links` are a store's layers by LINK (core/layout.h). Paths in options
/// may be of another namespace or from before a move, so only the layer's own names in them count.
/// Pure.
std::map<std::string, LayerMount> mounted_layers(const std::vector<MountNamespace>& spaces,
                                                 const std::map<std::string, std::string>& links);

}  // namespace overlayd
