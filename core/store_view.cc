// SPDX-License-Identifier: Apache-2.0
#include "core/store_view.h"

#include <fcntl.h>

#include <algorithm>
#include <set>
#include <thread>
#include <utility>

#include "core/error.h"
#include "core/layout.h"
#include "core/mount_ledger.h"
#include "core/store_lock.h"
#include "core/store_look.h"
#include "core/store_mounts.h"
#include "core/sys.h"

namespace overlayd {
namespace {

using layout::kInitSuffix;

std::set<LayerId> damaged_in(const Survey& survey) {
  std::set<LayerId> ids;
  for (const SurveyedLayer& layer : survey.layers) {
    if (!layer.damage.empty()) ids.insert(layer.id);
  }
  return ids;
}

bool has_parent_named(const StoreView& store, const LayerView& layer, const std::string& name) {
  return layer.parent && store.layers[*layer.parent].id.str() == name;
}

class Viewer {
 public:
  Viewer(const std::filesystem::path& home, const StoreViewOptions& options)
      : options_(options), home_(open_store(home)) {}

  StoreView run() {
    view_.home = sys::readlinkat(AT_FDCWD, sys::fd_path(home_.get()));
    view_.is_ours = sys::try_fstatat(home_.get(), layout::kOwnDirectory).has_value();
    view_.is_served = is_store_served(home_.get());
    view_.staged = names_in(home_.get(), layout::kStagingDirectory).size();
    view_.trashed = names_in(home_.get(), layout::kTrashDirectory).size();
    look();
    add_layers();
    add_mounts();
    if (options_.state_dir) add_holders();
    if (options_.layer_database) add_users();
    return std::move(view_);
  }

 private:
  // What is damaged in the last look only was made or removed under it.
  void look() {
    survey_ = survey_store(home_.get());
    damaged_ = damaged_in(survey_);
    for (int i = 1; i < kLooks && !damaged_.empty(); ++i) {
      std::this_thread::sleep_for(kBetweenLooks);
      survey_ = survey_store(home_.get());
      const std::set<LayerId> now = damaged_in(survey_);
      std::erase_if(damaged_, [&](const LayerId& id) { return !now.contains(id); });
    }
  }

  void add_layers() {
    std::vector<std::optional<size_t>> places(survey_.layers.size());
    for (size_t i = 0; i < survey_.layers.size(); ++i) {
      const SurveyedLayer& found = survey_.layers[i];
      if (!found.damage.empty() && !damaged_.contains(found.id)) continue;
      places[i] = view_.layers.size();
      add(found, found.parent ? places[*found.parent] : std::nullopt);
    }
  }

  void add(const SurveyedLayer& found, std::optional<size_t> parent) {
    LayerView layer{.id = found.id,
                    .record = found.record,
                    .parent = parent,
                    .damage = found.damage,
                    .size = found.record.size};
    if (parent) {
      view_.layers[*parent].children.push_back(view_.layers.size());
      layer.depth = view_.layers[*parent].depth + 1;
    }
    // Written once, when the layer is made.
    if (const auto link = sys::try_fstatat(home_.get(), layout::in_layer(found.id, layout::kLink)))
      layer.made = link->st_mtim.tv_sec;
    if (options_.measure && !layer.size) layer.size = measured(layer.id);
    if (layer.id.str().ends_with(kInitSuffix)) {
      layer.kind = LayerKind::Init;
    } else if (has_parent_named(view_, layer, layer.id.str() + std::string(kInitSuffix))) {
      layer.kind = LayerKind::Container;
    }
    by_id_.emplace(layer.id.str(), view_.layers.size());
    view_.layers.push_back(std::move(layer));
  }

  // nullopt also for what cannot be measured: it is damaged, or too deep for a tar.
  std::optional<int64_t> measured(const LayerId& id) const {
    try {
      return content_size(home_.get(), id);
    } catch (const SysError& error) {
      if (tells_of_want(error.errnum())) throw;
    } catch (const Error&) {
    }
    return std::nullopt;
  }

  void add_mounts() {
    for (StoreMount& mount : mounts_in_store(home_.get())) {
      const auto layer = by_id_.find(mount.layer);
      if (layer == by_id_.end()) {
        ++view_.foreign_mounts;
      } else {
        view_.layers[layer->second].mounts.push_back(std::move(mount.entry));
      }
    }
  }

  void add_holders() {
    const auto recorded = read_mount_ledger(*options_.state_dir);
    for (LayerView& layer : view_.layers) {
      const auto count = recorded.find(layer.id);
      layer.holders = count == recorded.end() ? 0 : count->second;
    }
  }

  void add_users() {
    const EngineLayers engine(*options_.layer_database);
    const std::vector<bool> needed = needed_layers(survey_, engine);
    for (size_t i = 0; i < survey_.layers.size(); ++i) {
      const auto place = by_id_.find(survey_.layers[i].id.str());
      if (place == by_id_.end()) continue;
      LayerView& layer = view_.layers[place->second];
      if (const EngineUser* const user = engine.user(layer.id.str())) layer.user = *user;
      layer.kind = kind_of(layer, engine, needed[i]);
    }
  }

  static LayerKind kind_of(const LayerView& layer, const EngineLayers& engine, bool is_needed) {
    if (!is_needed) return LayerKind::Orphan;
    if (!layer.user) return engine.is_cached(layer.id.str()) ? LayerKind::Cache : layer.kind;
    switch (layer.user->kind) {
      case EngineUser::Kind::Image: return LayerKind::Image;
      case EngineUser::Kind::Container: return LayerKind::Container;
      case EngineUser::Kind::Init: return LayerKind::Init;
    }
    return layer.kind;
  }

  const StoreViewOptions& options_;
  UniqueFd home_;
  Survey survey_;              // of the last look
  std::set<LayerId> damaged_;  // in all looks
  std::map<std::string, size_t> by_id_;
  StoreView view_;
};

// Whether `id` may be meant by `text`, which may be a beginning with "-init" behind it.
bool may_mean(const std::string& id, std::string_view text) {
  if (id.starts_with(text)) return true;
  if (!text.ends_with(kInitSuffix) || !id.ends_with(kInitSuffix)) return false;
  text.remove_suffix(kInitSuffix.size());
  return id.starts_with(text);
}

}  // namespace

std::string_view to_string(LayerKind kind) {
  switch (kind) {
    case LayerKind::Layer: return "layer";
    case LayerKind::Image: return "image";
    case LayerKind::Cache: return "cache";
    case LayerKind::Container: return "container";
    case LayerKind::Init: return "init";
    case LayerKind::Orphan: return "orphan";
  }
  return "layer";
}

std::string_view to_string(LayerState state) {
  switch (state) {
    case LayerState::Damaged: return "damaged";
    case LayerState::Removed: return "removed";
    case LayerState::Unfinished: return "unfinished";
    case LayerState::Mounted: return "mounted";
    case LayerState::Ready: return "ready";
  }
  return "ready";
}

LayerState LayerView::state() const {
  if (!damage.empty()) return LayerState::Damaged;
  if (record.removed) return LayerState::Removed;
  if (record.partial) return LayerState::Unfinished;
  return mounts.empty() ? LayerState::Ready : LayerState::Mounted;
}

StoreView view_store(const std::filesystem::path& home, const StoreViewOptions& options) {
  return with_context("look at the store in " + quoted(home.native()),
                      [&] { return Viewer(home, options).run(); });
}

size_t find_layer(const StoreView& store, std::string_view text) {
  std::vector<size_t> found;
  for (size_t i = 0; i < store.layers.size(); ++i) {
    const std::string& id = store.layers[i].id.str();
    if (id == text) return i;
    if (!text.empty() && may_mean(id, text)) found.push_back(i);
  }
  if (found.empty()) throw Error(ErrorKind::NotFound, "there is no layer " + quoted(text));
  const auto id_at = [&](size_t i) -> const std::string& {
    return store.layers[found[i]].id.str();
  };
  // The layer of a container and its init layer, in either order.
  if (found.size() == 2 && id_at(1) == id_at(0) + std::string(kInitSuffix)) return found[0];
  if (found.size() == 2 && id_at(0) == id_at(1) + std::string(kInitSuffix)) return found[1];
  if (found.size() == 1) return found.front();
  throw Error(ErrorKind::InvalidArgument, quoted(text) + " may be " + std::to_string(found.size()) +
                                              " layers, such as " + quoted(id_at(0)) + " and " +
                                              quoted(id_at(1)));
}

StoreUsage measure_usage(const StoreView& store, const UsageProgress& progress) {
  const UniqueFd home = open_store(store.home);
  StoreUsage usage;
  std::set<std::string> counted;
  for (const LayerView& layer : store.layers) {
    const auto tell = [&](const DiskUsage& so_far) {
      if (progress) progress(usage.own.size(), usage.total.bytes + so_far.bytes);
    };
    usage.own.push_back(disk_usage(home.get(), layer.id.str(), tell));
    usage.total += usage.own.back();
    counted.insert(layer.id.str());
    DiskUsage below;
    if (layer.parent) {
      below = usage.below[*layer.parent];
      below += usage.own[*layer.parent];
    }
    usage.below.push_back(below);
  }
  usage.total +=
      {.bytes = static_cast<uint64_t>(sys::fstat(home.get()).st_blocks) * 512, .inodes = 1};
  for (const std::string& name : names_in(home.get(), ".")) {
    if (!counted.contains(name)) usage.total += disk_usage(home.get(), name);
  }
  return usage;
}

DiskUsage layer_usage(const StoreView& store, size_t layer) {
  return disk_usage(open_store(store.home).get(), store.layers[layer].id.str());
}

std::optional<LayerQuota> layer_quota(const StoreView& store, size_t layer) {
  return quota_of_layer(open_store(store.home).get(), store.layers[layer].id.str());
}

}  // namespace overlayd
