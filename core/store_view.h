// SPDX-License-Identifier: Apache-2.0
//
// A store as it is at the moment, for people to look at: its layers, what they are for and who has
// them mounted. Works on a store that is served, on one that is not, and on Docker's own overlay2
// directory. Takes no lock that anybody waits for and changes nothing. One thread.
#pragma once

#include <cstdint>
#include <ctime>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/disk_usage.h"
#include "core/engine_layers.h"
#include "core/layer_id.h"
#include "core/layer_quotas.h"
#include "core/mountinfo.h"
#include "core/store_survey.h"

namespace overlayd {

/// What a layer is for. Without an engine's layer database only containers' layers are known, by
/// their names.
enum class LayerKind {
  Layer,
  Image,
  Cache,  ///< BuildKit's
  Container,
  Init,    ///< what an engine puts between an image and a container
  Orphan,  ///< neither the engine knows it nor any layer above it
};
/// "layer", "image", …
std::string_view to_string(LayerKind kind);

enum class LayerState {
  Damaged,     ///< can only be removed
  Removed,     ///< there only for the layers that lie on it
  Unfinished,  ///< an ApplyDiff is under way, or has not finished
  Mounted,
  Ready,
};
std::string_view to_string(LayerState state);

struct LayerView {
  LayerId id;
  LayerRecord record;
  std::optional<size_t> parent = std::nullopt;  ///< index in StoreView::layers
  std::vector<size_t> children = {};
  size_t depth = 0;  ///< how many layers are below
  std::string damage = {};
  LayerKind kind = LayerKind::Layer;
  std::vector<MountEntry> mounts = {};             ///< on its mount point
  std::optional<unsigned> holders = std::nullopt;  ///< only with a state directory
  std::optional<std::time_t> made = std::nullopt;
  std::optional<int64_t> size = std::nullopt;     ///< as DiffSize counts
  std::optional<EngineUser> user = std::nullopt;  ///< only with a layer database

  LayerState state() const;
};

struct StoreView {
  std::filesystem::path home;  ///< absolute, without symlinks
  bool is_served = false;
  bool is_ours = false;           ///< overlayd has been at home here
  std::vector<LayerView> layers;  ///< each behind its parent
  size_t foreign_mounts = 0, staged = 0, trashed = 0;
};

struct StoreViewOptions {
  std::optional<std::filesystem::path> layer_database = std::nullopt;  ///< core/engine_layers.h
  std::optional<std::filesystem::path> state_dir = std::nullopt;       ///< core/mount_ledger.h
  bool measure = false;  ///< count the sizes that are not recorded
};

/// A layer that comes or goes meanwhile may be left out; one is damaged only if three looks say so.
/// Throws NotFound when there is no store in `home`, SysError when something cannot be read.
StoreView view_store(const std::filesystem::path& home, const StoreViewOptions& options = {});

/// The one layer that `text` means: an id, or the beginning of just one. `<id>-init` is not another
/// id than <id>, unless `text` ends so. Throws NotFound; InvalidArgument naming some that it may
/// be.
size_t find_layer(const StoreView& store, std::string_view text);

struct StoreUsage {
  std::vector<DiskUsage> own;    ///< of StoreView::layers, each with all that its directory holds
  std::vector<DiskUsage> below;  ///< of all layers that each lies on
  DiskUsage total;               ///< of the home
};
/// Told how many layers have been counted, and the bytes of these and of the current one.
using UsageProgress = std::function<void(size_t layers, uint64_t bytes)>;
/// Of all layers.
StoreUsage measure_usage(const StoreView& store, const UsageProgress& progress = {});

/// Of one.
DiskUsage layer_usage(const StoreView& store, size_t layer);
std::optional<LayerQuota> layer_quota(const StoreView& store, size_t layer);

}  // namespace overlayd
