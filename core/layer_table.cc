// SPDX-License-Identifier: Apache-2.0
#include "core/layer_table.h"

#include <dirent.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <future>
#include <map>
#include <optional>
#include <thread>

#include "core/error.h"
#include "core/layout.h"
#include "core/sys.h"

namespace overlayd {

Layer::Layer(LayerId layer_id, std::string link_name, std::shared_ptr<Layer> parent_layer,
             std::string what_is_damaged)
    : id(std::move(layer_id)),
      link(std::move(link_name)),
      parent(std::move(parent_layer)),
      depth(parent ? parent->depth + 1 : 0),
      damage(std::move(what_is_damaged)) {}

std::vector<const Layer*> Layer::chain() const {
  std::vector<const Layer*> layers;
  for (const Layer* layer = this; layer != nullptr; layer = layer->parent.get()) {
    layers.push_back(layer);
  }
  return layers;
}

std::vector<std::string> Layer::links() const {
  std::vector<std::string> names;
  for (const Layer* layer : chain()) names.push_back(layer->link);
  return names;
}

namespace {

using LayersById = std::unordered_map<std::string, std::shared_ptr<Layer>>;

/// One directory as found, before it is known whose child it is.
struct Found {
  LayerRecord record;
  std::string damage;
};

/// work(0) to work(count - 1), in a few threads if there are many: a large store is read in files
/// of a few bytes, and the time goes into opening them.
void for_each_in_parallel(size_t count, const std::function<void(size_t)>& work) {
  constexpr size_t kWorthAThread = 200;
  const size_t threads = std::clamp<size_t>(
      count / kWorthAThread, 1, std::clamp(std::thread::hardware_concurrency(), 1U, 4U));
  std::vector<std::future<void>> running;
  for (size_t thread = 1; thread < threads; ++thread) {
    running.push_back(std::async(std::launch::async, [&work, thread, threads, count] {
      for (size_t i = thread; i < count; i += threads) work(i);
    }));
  }
  for (size_t i = 0; i < count; i += threads) work(i);
  for (std::future<void>& other : running) other.get();
}

/// Whether an error is about the file, and not about what this process may have.
bool tells_of_damage(int errnum) {
  switch (errnum) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOSPC:
    case EDQUOT: return false;
    default: return true;
  }
}

// nullopt also for what is no symlink.
std::optional<std::string> target_of_link(int dirfd, const std::string& path) {
  try {
    return sys::try_readlinkat(dirfd, path);
  } catch (const SysError& error) {
    if (error.errnum() == EINVAL) return std::nullopt;
    throw;
  }
}

/// Turns directories into the tree of layers, parents first.
class TreeBuilder {
 public:
  TreeBuilder(int home, Observer& observer) : home_(home), observer_(observer) {}

  LayersById build() {
    read_all();
    for (const auto& [id, found] : found_) {
      if (!found.record.link.empty()) claim_link(id, found);
    }
    for (const auto& [id, found] : found_) make(id);
    for (const auto& [id, layer] : layers_) {
      if (layer->parent) ++layer->parent->children;
    }
    return std::move(layers_);
  }

 private:
  void read_all() {
    std::vector<std::pair<LayerId, std::optional<Found>>> directories;
    for (const sys::DirEntry& entry : sys::list_directory(home_)) {
      if (entry.name.starts_with('.') || entry.name == layout::kLinkDirectory) continue;
      if (entry.type == DT_DIR) directories.emplace_back(LayerId::parse(entry.name), std::nullopt);
    }
    for_each_in_parallel(directories.size(), [&](size_t i) {
      auto& [id, found] = directories[i];
      found = read(id);
    });
    for (auto& [id, found] : directories) {
      if (found) found_.emplace_hint(found_.end(), std::move(id), *std::move(found));
    }
  }

  std::optional<Found> read(const LayerId& id) const {
    try {
      auto record = read_layer(home_, id);
      if (!record) return std::nullopt;
      return Found{.record = *std::move(record), .damage = {}};
    } catch (const SysError& error) {
      if (!tells_of_damage(error.errnum())) throw;
      return Found{.record = {}, .damage = error.what()};
    } catch (const Error& error) {
      return Found{.record = {}, .damage = error.what()};
    }
  }

  // Two layers may say that they have the same link, when somebody copied a directory. l/ tells
  // which of them children mean.
  void claim_link(const LayerId& id, const Found& found) {
    const auto [claim, is_first] = by_link_.emplace(found.record.link, id);
    if (is_first) return;
    const auto target = target_of_link(home_, layout::link_path(found.record.link));
    LayerId loser = id;
    if (target && layout::id_in_link_target(*target) == id.str()) std::swap(loser, claim->second);
    Found& other = found_.at(loser);
    other.damage = "its 'link' file says the same as that of layer " + quoted(claim->second.str());
    other.record = {};
  }

  // Walks up to the first layer already made, then makes the ones below it on the way back.
  // Iterative: a damaged store may claim any depth. A layer met twice on the way up lies on itself.
  std::shared_ptr<Layer> make(const LayerId& id) {
    std::vector<LayerId> path;
    std::shared_ptr<Layer> parent;
    std::string damage_below;
    for (std::optional<LayerId> at = id; at;) {
      if (const auto made = layers_.find(at->str()); made != layers_.end()) {
        parent = made->second;
        break;
      }
      if (std::find(path.begin(), path.end(), *at) != path.end()) {
        damage_below = "its chain of parents is a circle";
        break;
      }
      path.push_back(*at);
      at = parent_of(found_.at(*at), damage_below);
    }
    for (auto step = path.rbegin(); step != path.rend(); ++step) {
      parent = add(*step, std::move(parent), damage_below);
      damage_below.clear();
    }
    return parent;
  }

  // nullopt: none, or none that is there.
  std::optional<LayerId> parent_of(const Found& found, std::string& damage) const {
    if (!found.damage.empty() || found.record.lowers.empty()) return std::nullopt;
    const auto parent = by_link_.find(found.record.lowers.front());
    if (parent != by_link_.end()) return parent->second;
    damage = "its parent, link " + found.record.lowers.front() + ", is not there";
    return std::nullopt;
  }

  std::shared_ptr<Layer> add(const LayerId& id, std::shared_ptr<Layer> parent,
                             const std::string& damage_below) {
    const Found& found = found_.at(id);
    std::string damage = !found.damage.empty() ? found.damage : damage_below;
    if (damage.empty() && parent) damage = contradiction(found.record, *parent);
    if (!damage.empty()) {
      observer_.note(NoteLevel::Warning, "layer " + quoted(id.str()) + " is damaged: " + damage);
    }
    auto layer =
        std::make_shared<Layer>(id, found.record.link, std::move(parent), std::move(damage));
    layer->committed = found.record.committed;
    layer->unfinished = found.record.partial;
    layer->size = found.record.size;
    layer->size_recorded = layer->size.has_value();
    layers_.emplace(id.str(), layer);
    return layer;
  }

  static std::string contradiction(const LayerRecord& record, const Layer& parent) {
    if (!parent.damage.empty()) return "it lies on the damaged layer " + quoted(parent.id.str());
    if (record.lowers != parent.links()) return "its 'lower' file contradicts its parent's";
    return {};
  }

  int home_;
  Observer& observer_;
  std::map<LayerId, Found> found_;
  std::map<std::string, LayerId> by_link_;
  LayersById layers_;
};

// A link to a layer whose own 'link' file is damaged is what that file can be restored from.
bool is_last_trace(const LayersById& layers, std::string_view target) {
  const std::string_view id = layout::id_in_link_target(target);
  const auto layer = id.empty() ? layers.end() : layers.find(std::string(id));
  return layer != layers.end() && layer->second->link.empty();
}

// Makes l/ say what the layers' own 'link' files say.
void mend_links(int home, const LayersById& layers, Observer& observer) {
  std::map<std::string, std::string> wanted;
  for (const auto& [id, layer] : layers) {
    if (!layer->link.empty()) wanted.emplace(layer->link, layout::link_target(layer->id));
  }
  const UniqueFd links = sys::open_path_dir(home, layout::kLinkDirectory);
  const std::vector<sys::DirEntry> entries = sys::list_directory(links.get());
  std::vector<std::optional<std::string>> targets(entries.size());
  for_each_in_parallel(
      entries.size(), [&](size_t i) { targets[i] = target_of_link(links.get(), entries[i].name); });
  for (size_t i = 0; i < entries.size(); ++i) {
    const sys::DirEntry& entry = entries[i];
    const std::optional<std::string>& target = targets[i];
    const auto want = wanted.find(entry.name);
    if (!target && want == wanted.end()) {
      observer.note(NoteLevel::Warning, quoted(entry.name) + " in l/ is no link; it is left alone");
      continue;
    }
    if (want != wanted.end() && target == want->second) {
      wanted.erase(want);
      continue;
    }
    if (target && is_last_trace(layers, *target)) continue;
    // Left by an interrupted Create or Remove, or a second link to a layer: nothing is lost with
    // it.
    sys::unlinkat(links.get(), entry.name, 0);
    observer.note(NoteLevel::Info, "removed the stray link l/" + entry.name);
  }
  for (const auto& [link, target] : wanted) {
    sys::symlinkat(target, links.get(), link);
    observer.note(NoteLevel::Info, "restored the link l/" + link + " to " + quoted(target));
  }
}

}  // namespace

void LayerTable::load(int home, Observer& observer) {
  auto layers = TreeBuilder(home, observer).build();
  mend_links(home, layers, observer);
  const std::unique_lock lock(mutex_);
  layers_ = std::move(layers);
}

std::shared_ptr<Layer> LayerTable::find(const LayerId& id) const { return find(id.str()); }

std::shared_ptr<Layer> LayerTable::find(const std::string& name) const {
  const std::shared_lock lock(mutex_);
  const auto found = layers_.find(name);
  return found == layers_.end() ? nullptr : found->second;
}

void LayerTable::insert(std::shared_ptr<Layer> layer) {
  const std::unique_lock lock(mutex_);
  layers_[layer->id.str()] = std::move(layer);
}

void LayerTable::erase(const std::shared_ptr<Layer>& layer) {
  const std::unique_lock lock(mutex_);
  const auto found = layers_.find(layer->id.str());
  if (found != layers_.end() && found->second == layer) layers_.erase(found);
}

std::vector<std::shared_ptr<Layer>> LayerTable::all() const {
  const std::shared_lock lock(mutex_);
  std::vector<std::shared_ptr<Layer>> out;
  out.reserve(layers_.size());
  for (const auto& [id, layer] : layers_) out.push_back(layer);
  return out;
}

size_t LayerTable::size() const {
  const std::shared_lock lock(mutex_);
  return layers_.size();
}

}  // namespace overlayd
