// SPDX-License-Identifier: Apache-2.0
//
// What has been found out for one of the commands that look into a store, and its two forms: text
// for a terminal and JSON. Plain values.
#pragma once

#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "core/layer_overlay.h"
#include "core/mount_namespaces.h"
#include "core/store_check.h"
#include "core/store_means.h"
#include "core/store_view.h"
#include "plugin/engine_names.h"
#include "plugin/terminal.h"

namespace overlayd {

/// A mount of a layer's file system, in any namespace.
struct MountUse {
  MountEntry mount;
  uint64_t name_space;
  bool is_own;  ///< this process' namespace
  std::vector<pid_t> processes;
  std::string command;  ///< the first one's name
};

struct Inspection {
  StoreView store;
  EngineNames names;
  std::vector<size_t> chosen;  ///< of ls, tree and du, in the order to be shown; indices of layers

  // show
  size_t layer = 0;
  DiskUsage own, below;
  std::optional<LayerQuota> quota;
  std::vector<MountUse> uses;
  MountCommand command;

  // du
  StoreUsage usage;

  // status
  StoreMeans means;
  StoreReport report;
};

struct TextOptions {
  Terminal terminal;
  bool full = false;  ///< ids in full length, on a terminal as well
  std::time_t now = 0;
};

void print_list(const Inspection& found, std::ostream& out, const TextOptions& options);
void print_tree(const Inspection& found, std::ostream& out, const TextOptions& options);
void print_layer(const Inspection& found, std::ostream& out, const TextOptions& options);
void print_usage(const Inspection& found, std::ostream& out, const TextOptions& options);
void print_status(const Inspection& found, std::ostream& out, const TextOptions& options);

/// One JSON value and a newline each.
void print_layers_json(const Inspection& found, std::ostream& out);
void print_layer_json(const Inspection& found, std::ostream& out);
void print_usage_json(const Inspection& found, std::ostream& out);
void print_status_json(const Inspection& found, std::ostream& out);

/// The names that people have for what the layer was made for.
std::vector<std::string> names_for(const Inspection& found, const LayerView& layer);

}  // namespace overlayd
