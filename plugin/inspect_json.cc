// SPDX-License-Identifier: Apache-2.0
#include <ostream>

#include <nlohmann/json.hpp>

#include "core/layout.h"
#include "plugin/inspection.h"
#include "plugin/table.h"
#include "plugin/version.h"

namespace overlayd {
namespace {

using Json = nlohmann::ordered_json;
using Gravity = Finding::Gravity;

template <typename T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

Json text_or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }

// Names that are no UTF-8 are made some.
void print(const Json& json, std::ostream& out) {
  out << json.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
}

Json ids_of(const StoreView& store, const std::vector<size_t>& layers) {
  Json ids = Json::array();
  for (const size_t i : layers) ids.push_back(store.layers[i].id.str());
  return ids;
}

const char* word_for(EngineUser::Kind kind) {
  switch (kind) {
    case EngineUser::Kind::Image: return "image";
    case EngineUser::Kind::Container: return "container";
    case EngineUser::Kind::Init: return "init";
  }
  return "";
}

Json user_json(const Inspection& found, const LayerView& layer) {
  if (!layer.user) return {};
  return {{"kind", word_for(layer.user->kind)},
          {"id", layer.user->name},
          {"names", names_for(found, layer)}};
}

Json layer_json(const Inspection& found, const LayerView& layer) {
  const StoreView& store = found.store;
  return {{"id", layer.id.str()},
          {"parent", layer.parent ? Json(store.layers[*layer.parent].id.str()) : Json()},
          {"children", ids_of(store, layer.children)},
          {"depth", layer.depth},
          {"kind", to_string(layer.kind)},
          {"state", to_string(layer.state())},
          {"damage", text_or_null(layer.damage)},
          {"read_only", layer.record.committed},
          {"digests", layer.record.has_digests},
          {"size", or_null(layer.size)},
          {"made", layer.made ? Json(time_text(*layer.made)) : Json()},
          {"mounts", layer.mounts.size()},
          {"holders", or_null(layer.holders)},
          {"user", user_json(found, layer)}};
}

Json usage_json(const DiskUsage& usage) {
  return {{"bytes", usage.bytes}, {"inodes", usage.inodes}, {"unread", usage.unread}};
}

Json quota_json(const std::optional<LayerQuota>& quota) {
  if (!quota) return {};
  const auto limit = [](uint64_t value) { return value == 0 ? Json() : Json(value); };
  const ProjectUsage& usage = quota->usage;
  return {{"project", quota->project},
          {"bytes", usage.bytes},
          {"inodes", usage.inodes},
          {"most_bytes", limit(usage.limits.bytes)},
          {"most_inodes", limit(usage.limits.inodes)}};
}

Json mount_json(const MountUse& use) {
  return {{"mount_point", use.mount.mount_point},
          {"id", use.mount.id},
          {"type", use.mount.fs_type},
          {"options", use.mount.mount_options},
          {"namespace", use.name_space},
          {"own_namespace", use.is_own},
          {"processes", use.processes},
          {"command", use.command}};
}

}  // namespace

void print_layers_json(const Inspection& found, std::ostream& out) {
  Json layers = Json::array();
  for (const size_t i : found.chosen) {
    layers.push_back(layer_json(found, found.store.layers[i]));
  }
  print(layers, out);
}

void print_layer_json(const Inspection& found, std::ostream& out) {
  const StoreView& store = found.store;
  const LayerView& layer = store.layers[found.layer];
  const auto path = [&](const char* name) { return (store.home / layer.id.str() / name).native(); };
  Json json = layer_json(found, layer);
  json["link"] = text_or_null(layer.record.link);
  std::vector<size_t> below;
  for (auto at = layer.parent; at; at = store.layers[*at].parent) below.push_back(*at);
  json["below"] = ids_of(store, below);
  json["paths"] = {{"diff", path(layout::kDiff)},
                   {"work", layer.record.lower.empty() ? Json() : Json(path(layout::kWork))},
                   {"merged", path(layout::kMerged)}};
  json["disk"] = {{"own", usage_json(found.own)}, {"shared", usage_json(found.below)}};
  json["quota"] = quota_json(found.quota);
  Json mounts = Json::array();
  for (const MountUse& use : found.uses) mounts.push_back(mount_json(use));
  json["mounted_on"] = std::move(mounts);
  json["mount_command"] = text_or_null(found.command.line);
  json["no_mount_command"] = text_or_null(found.command.reason);
  print(json, out);
}

void print_usage_json(const Inspection& found, std::ostream& out) {
  Json layers = Json::array();
  for (const size_t i : found.chosen) {
    const LayerView& layer = found.store.layers[i];
    layers.push_back({{"id", layer.id.str()},
                      {"own", usage_json(found.usage.own[i])},
                      {"shared", usage_json(found.usage.below[i])},
                      {"user", user_json(found, layer)}});
  }
  print({{"layers", std::move(layers)}, {"total", usage_json(found.usage.total)}}, out);
}

void print_status_json(const Inspection& found, std::ostream& out) {
  const StoreView& store = found.store;
  const StoreMeans& means = found.means;
  Json states = {{"ready", 0}, {"mounted", 0}, {"unfinished", 0}, {"damaged", 0}};
  for (const LayerView& layer : store.layers) {
    Json& count = states[std::string(to_string(layer.state()))];
    count = count.get<size_t>() + 1;
  }
  print({{"store", store.home.native()},
         {"version", version()},
         {"served", store.is_served},
         {"overlayd", store.is_ours},
         {"filesystem", means.filesystem},
         {"disk", {{"bytes", means.bytes}, {"free", means.free_bytes}}},
         {"inodes", {{"count", means.inodes}, {"free", means.free_inodes}}},
         {"mount_method", means.mount_method ? Json(to_string(*means.mount_method)) : Json()},
         {"no_mount_method", text_or_null(means.mount_reason)},
         {"commit_method", to_string(means.commit.method)},
         {"commit_reason", means.commit.reason},
         {"quotas", means.quota_obstacle.empty()},
         {"no_quotas", text_or_null(means.quota_obstacle)},
         {"layers", store.layers.size()},
         {"states", std::move(states)},
         {"staging", store.staged},
         {"trash", store.trashed},
         {"foreign_mounts", store.foreign_mounts},
         {"damages", found.report.count(Gravity::Damage)},
         {"leftovers", found.report.count(Gravity::Leftover)}},
        out);
}

}  // namespace overlayd
