// SPDX-License-Identifier: Apache-2.0
#include "core/store_mounts.h"

#include <fcntl.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <string_view>
#include <utility>

#include "core/layout.h"
#include "core/sys.h"

namespace overlayd {
namespace {

using Path = std::filesystem::path;

/// The ids of a store's layers, by which they are known in paths.
struct KnownLayers {
  const std::map<std::string, std::string>& by_link;
  std::set<std::string> ids = {};

  // Of a path like …/<id>/diff or …/l/<LINK>; empty for any other.
  std::string layer_of(const Path& path) const {
    const std::string last = path.filename(), above = path.parent_path().filename();
    if (last == layout::kDiff) return ids.contains(above) ? above : std::string();
    const auto link = by_link.find(last);
    const bool is_link = above == layout::kLinkDirectory && link != by_link.end();
    return is_link ? link->second : std::string();
  }
};

// The layer that the overlay shows as its own: the upper one or, without, the nearest lower one.
std::string layer_shown(std::string_view options, const KnownLayers& known) {
  std::string nearest;
  while (!options.empty()) {
    const std::string_view option = options.substr(0, options.find(','));
    options.remove_prefix(std::min(options.size(), option.size() + 1));
    const size_t equals = option.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view value = option.substr(equals + 1);
    if (option.starts_with("upperdir=")) return known.layer_of(value);
    if (nearest.empty() && option.starts_with("lowerdir")) {
      nearest = known.layer_of(value.substr(0, value.find(':')));
    }
  }
  return nearest;
}

}  // namespace

std::map<std::string, LayerMount> mounted_layers(const std::vector<MountNamespace>& spaces,
                                                 const std::map<std::string, std::string>& links) {
  KnownLayers known{.by_link = links};
  for (const auto& [link, id] : links) known.ids.insert(id);
  std::map<std::string, LayerMount> mounted;
  for (const MountNamespace& space : spaces) {
    for (const MountEntry& mount : space.mounts) {
      if (mount.fs_type != "overlay") continue;
      std::string layer = layer_shown(mount.super_options, known);
      if (layer.empty()) continue;
      mounted.emplace(layer, LayerMount{.layer = layer,
                                        .mount_point = mount.mount_point,
                                        .process = space.processes.front(),
                                        .command = space.command});
    }
  }
  return mounted;
}

std::vector<StoreMount> mounts_in_store(int home) {
  // The mount table shows resolved paths; the home we were given may go through symlinks.
  const std::string prefix = sys::readlinkat(AT_FDCWD, sys::fd_path(home)) + "/";
  std::vector<StoreMount> mounts;
  for (MountEntry& entry : read_mountinfo()) {
    if (!entry.mount_point.starts_with(prefix)) continue;
    const Path below = entry.mount_point.substr(prefix.size());
    const bool is_place = below.filename() == layout::kMerged;
    mounts.push_back({.below = below.string(),
                      .layer = is_place ? below.parent_path().string() : std::string(),
                      .entry = std::move(entry)});
  }
  return mounts;
}

}  // namespace overlayd
