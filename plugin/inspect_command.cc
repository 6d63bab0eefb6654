// SPDX-License-Identifier: Apache-2.0
#include "plugin/inspect_command.h"

#include <ctime>
#include <exception>
#include <optional>
#include <ostream>

#include "core/error.h"
#include "plugin/inspection.h"
#include "plugin/progress_bar.h"

namespace overlayd {
namespace {

using Command = InspectOptions::Command;
using Path = std::filesystem::path;

// Beside <root>/<driver> engines have <root>/image/<driver>.
std::optional<Path> layer_database_for(const InspectOptions& options) {
  if (options.view.layer_database) return options.view.layer_database;
  std::error_code error;
  const Path home = std::filesystem::canonical(options.home, error);
  const Path usual = home.parent_path() / "image" / home.filename() / "layerdb";
  return !error && std::filesystem::is_directory(usual, error) ? std::optional(usual)
                                                               : std::nullopt;
}

bool is_chosen(const LayerView& layer, const InspectOptions& options) {
  if (options.mounted && layer.mounts.empty()) return false;
  if (options.unfinished && layer.state() != LayerState::Unfinished) return false;
  return !options.orphans || layer.kind == LayerKind::Orphan;
}

// Each layer, then those on it. Not by recursion: chains may be long.
std::vector<size_t> tree_order(const StoreView& store) {
  std::vector<size_t> order, next;
  for (size_t i = store.layers.size(); i-- > 0;) {
    if (!store.layers[i].parent) next.push_back(i);
  }
  while (!next.empty()) {
    order.push_back(next.back());
    const std::vector<size_t>& children = store.layers[next.back()].children;
    next.pop_back();
    next.insert(next.end(), children.rbegin(), children.rend());
  }
  return order;
}

std::vector<size_t> choose(const StoreView& store, const InspectOptions& options) {
  std::vector<size_t> chosen;
  for (const size_t i : tree_order(store)) {
    if (is_chosen(store.layers[i], options)) chosen.push_back(i);
  }
  return chosen;
}

std::vector<MountUse> find_uses(const LayerView& layer) {
  std::vector<MountUse> uses;
  if (layer.mounts.empty()) return uses;
  for (const MountNamespace& space : read_mount_namespaces()) {
    for (const MountEntry& mount : space.mounts) {
      if (!show_the_same(mount, layer.mounts.back())) continue;
      uses.push_back({.mount = mount,
                      .name_space = space.number,
                      .is_own = space.is_own,
                      .processes = space.processes,
                      .command = space.command});
    }
  }
  return uses;
}

class Inspector {
 public:
  Inspector(const InspectOptions& options, std::ostream& err, bool show_progress)
      : options_(options), err_(err), show_progress_(show_progress && !options.json) {}

  Inspection run() {
    StoreViewOptions view = options_.view;
    view.layer_database = layer_database_for(options_);
    if (options_.orphans && !view.layer_database) {
      throw Error(ErrorKind::NotFound,
                  "orphans are known only with an engine's layer database: name it with --layerdb");
    }
    found_.store = view_store(options_.home, view);
    if (view.layer_database) found_.names = EngineNames(*view.layer_database);
    found_.chosen = choose(found_.store, options_);
    switch (options_.command) {
      case Command::List:
      case Command::Tree: break;
      case Command::Show: look_at_layer(); break;
      case Command::Usage: measure(); break;
      case Command::Status:
        found_.means = find_store_means(found_.store.home);
        found_.report = check_store(found_.store.home, {});
        break;
    }
    return std::move(found_);
  }

 private:
  void look_at_layer() {
    found_.layer = find_layer(found_.store, options_.layer);
    const LayerView& layer = found_.store.layers[found_.layer];
    found_.uses = find_uses(layer);
    found_.own = layer_usage(found_.store, found_.layer);
    found_.quota = layer_quota(found_.store, found_.layer);
    for (auto at = layer.parent; at; at = found_.store.layers[*at].parent) {
      found_.below += layer_usage(found_.store, *at);
    }
    if (layer.state() == LayerState::Unfinished) {
      found_.command = {.line = {}, .reason = "its ApplyDiff has not finished"};
    } else if (!layer.damage.empty()) {
      found_.command = {.line = {}, .reason = "the layer is damaged"};
    } else {
      found_.command =
          mount_command(found_.store.home, layer.id, layer.record.committed, layer.record.lowers());
    }
  }

  void measure() {
    std::optional<ProgressBar> bar;
    if (show_progress_) bar.emplace(err_);
    const size_t all = found_.store.layers.size();
    found_.usage = measure_usage(found_.store, [&](size_t layers, uint64_t bytes) {
      if (bar) bar->show({.layers_done = layers, .layers = all, .bytes = bytes});
    });
  }

  const InspectOptions& options_;
  std::ostream& err_;
  const bool show_progress_;
  Inspection found_;
};

void print(const Inspection& found, const InspectOptions& options, std::ostream& out,
           const Terminal& terminal) {
  const TextOptions text{
      .terminal = terminal, .full = options.full || !terminal.width, .now = std::time(nullptr)};
  const bool json = options.json;
  switch (options.command) {
    case Command::List: return json ? print_layers_json(found, out) : print_list(found, out, text);
    case Command::Tree: return json ? print_layers_json(found, out) : print_tree(found, out, text);
    case Command::Show: return json ? print_layer_json(found, out) : print_layer(found, out, text);
    case Command::Usage: return json ? print_usage_json(found, out) : print_usage(found, out, text);
    case Command::Status:
      return json ? print_status_json(found, out) : print_status(found, out, text);
  }
}

}  // namespace

std::vector<std::string> names_for(const Inspection& found, const LayerView& layer) {
  return layer.user ? found.names.of(*layer.user) : std::vector<std::string>();
}

int run_inspect(const InspectOptions& options, std::ostream& out, std::ostream& err,
                const Terminal& terminal, bool show_progress) {
  try {
    const Inspection found = Inspector(options, err, show_progress).run();
    print(found, options, out, terminal);
    const bool is_whole =
        found.report.count(Finding::Gravity::Damage) == 0 && found.usage.total.unread == 0;
    return is_whole ? 0 : 1;
  } catch (const std::exception& error) {
    err << "overlayd: " << error.what() << '\n';
    return 2;
  }
}

}  // namespace overlayd
