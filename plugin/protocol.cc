// SPDX-License-Identifier: Apache-2.0
#include "plugin/protocol.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <nlohmann/json.hpp>

#include "core/error.h"

namespace overlayd {
namespace {

// Keys in the order they are added, as the protocol's examples have them.
using Json = nlohmann::ordered_json;

/// No request has more than three levels. The library copies values by recursion, so that a body
/// within the limit of size could overflow the stack.
constexpr int kMaxNesting = 16;

[[noreturn]] void refuse(const std::string& why) { throw Error(ErrorKind::InvalidArgument, why); }

[[noreturn]] void refuse_type(const std::string& name, const char* wanted) {
  refuse("field " + quoted(name) + " is not " + wanted);
}

std::optional<LayerId> parse_parent(const std::string& text) {
  if (text.empty()) return std::nullopt;
  return with_context("parent", [&] { return LayerId::parse(text); });
}

std::string string_of(const Json& value, const std::string& name) {
  if (!value.is_string()) refuse_type(name, "a string");
  return value.get<std::string>();
}

// The fields of one JSON object, by name.
class Fields {
 public:
  explicit Fields(const Json& object) : object_(object) {}

  std::string text(const char* name) const {
    const Json* value = find(name);
    return value == nullptr ? std::string() : string_of(*value, name);
  }

  LayerId id() const { return LayerId::parse(text("ID")); }
  std::optional<LayerId> parent() const { return parse_parent(text("Parent")); }

  uint32_t id_number(const char* name) const {
    const Json* value = find(name);
    if (value == nullptr) return 0;
    if (!value->is_number_unsigned() ||
        value->get<uint64_t>() > std::numeric_limits<uint32_t>::max())
      refuse_type(name, "a number of 32 bits");
    return value->get<uint32_t>();
  }

  template <typename Visit>
  void for_each_element(const char* name, Visit&& visit) const {
    const Json* value = find(name);
    if (value == nullptr) return;
    if (!value->is_array()) refuse_type(name, "an array");
    for (const Json& element : *value) visit(element);
  }

  std::vector<std::pair<std::string, std::string>> text_map(const char* name) const {
    std::vector<std::pair<std::string, std::string>> entries;
    const Json* value = find(name);
    if (value == nullptr) return entries;
    if (!value->is_object()) refuse_type(name, "an object");
    for (const auto& [key, entry] : value->items())
      entries.emplace_back(key, string_of(entry, std::string(name) + "." + key));
    std::sort(entries.begin(), entries.end());
    return entries;
  }

 private:
  const Json* find(const char* name) const {
    const auto found = object_.find(name);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }

  const Json& object_;
};

Json parse_object(std::string_view body) {
  if (body.find_first_not_of(" \t\r\n") == std::string_view::npos) refuse("request body is empty");
  bool too_deep = false;
  const auto keep = [&](int depth, Json::parse_event_t, const Json&) {
    too_deep = too_deep || depth > kMaxNesting;
    return !too_deep;
  };
  Json object = Json::parse(body, keep, /*allow_exceptions=*/false);
  if (too_deep) refuse("request body is nested too deeply");
  if (object.is_discarded()) refuse("request body is not valid JSON");
  if (!object.is_object()) refuse("request body is not a JSON object");
  return object;
}

IdMap decode_id_map(const Fields& fields, const char* name) {
  std::vector<IdRange> ranges;
  fields.for_each_element(name, [&](const Json& element) {
    if (!element.is_object()) refuse_type(name, "an array of objects");
    const Fields range(element);
    ranges.push_back({.container_id = range.id_number("container_id"),
                      .host_id = range.id_number("host_id"),
                      .size = range.id_number("size")});
  });
  return with_context(name, [&] { return IdMap(std::move(ranges)); });
}

Json encode_id_map(const IdMap& map) {
  if (map.is_identity()) return nullptr;
  Json ranges = Json::array();
  for (const IdRange& range : map.ranges()) {
    ranges.push_back(
        {{"container_id", range.container_id}, {"host_id", range.host_id}, {"size", range.size}});
  }
  return ranges;
}

std::string text_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Of a list that is sent while it is made.
constexpr size_t kPieceSize = 32 * 1024;

std::string dump(const Json& json) { return text_of(json) + "\n"; }

// Most names mean themselves, and a list may have a hundred thousand: building values of the
// library would take longer than finding the changes.
void append_string(std::string& out, std::string_view value) {
  const bool plain = std::all_of(value.begin(), value.end(), [](char c) {
    return c >= ' ' && c < '\x7f' && c != '"' && c != '\\';
  });
  if (!plain) {
    out += text_of(std::string(value));
    return;
  }
  out += '"';
  out += value;
  out += '"';
}

}  // namespace

InitRequest decode_init(std::string_view body) {
  const Json object = parse_object(body);
  const Fields fields(object);
  InitRequest request{.home = fields.text("Home"),
                      .options = {},
                      .id_maps = {.uids = decode_id_map(fields, "UIDMaps"),
                                  .gids = decode_id_map(fields, "GIDMaps")}};
  if (!request.home.is_absolute()) refuse("field 'Home' is not an absolute path");
  fields.for_each_element(
      "Opts", [&](const Json& element) { request.options.push_back(string_of(element, "Opts")); });
  return request;
}

CreateRequest decode_create(std::string_view body) {
  const Json object = parse_object(body);
  const Fields fields(object);
  return {.id = fields.id(),
          .parent = fields.parent(),
          .mount_label = fields.text("MountLabel"),
          .storage_options = fields.text_map("StorageOpt")};
}

LayerRequest decode_layer(std::string_view body) { return {.id = Fields(parse_object(body)).id()}; }

GetRequest decode_get(std::string_view body) {
  const Json object = parse_object(body);
  const Fields fields(object);
  return {.id = fields.id(), .mount_label = fields.text("MountLabel")};
}

DiffRequest decode_diff(std::string_view body) {
  const Json object = parse_object(body);
  const Fields fields(object);
  return {.id = fields.id(), .parent = fields.parent()};
}

DiffRequest decode_apply_query(std::string_view query) {
  std::string id;
  std::string parent;
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    if (pair.starts_with("id=")) id = pair.substr(3);
    if (pair.starts_with("parent=")) parent = pair.substr(7);
  }
  return {.id = LayerId::parse(id), .parent = parse_parent(parent)};
}

std::string encode(const ErrorReply& reply) { return dump({{"Err", reply.text}}); }
std::string encode(const EmptyReply&) { return "{}\n"; }
std::string encode(const ActivateReply&) { return "{\"Implements\":[\"GraphDriver\"]}\n"; }

std::string encode(const CapabilitiesReply&) {
  return "{\"Capabilities\":{\"ReproducesExactDiffs\":false}}\n";
}

std::string encode(const GetReply& reply) { return dump({{"Dir", reply.dir.native()}}); }
std::string encode(const ExistsReply& reply) { return dump({{"Exists", reply.exists}}); }
std::string encode(const SizeReply& reply) { return dump({{"Size", reply.size}}); }

std::string encode(const StatusReply& reply) {
  Json rows = Json::array();
  for (const auto& [name, value] : reply.rows) rows.push_back(Json::array({name, value}));
  return dump({{"Status", std::move(rows)}});
}

std::string encode(const MetadataReply& reply) {
  auto sorted = reply.values;
  std::sort(sorted.begin(), sorted.end());
  Json values = Json::object();
  for (const auto& [name, value] : sorted) values[name] = value;
  return dump({{"Metadata", std::move(values)}});
}

std::string encode(const InitRequest& request) {
  return dump({{"Home", request.home.native()},
               {"Opts", request.options.empty() ? Json(nullptr) : Json(request.options)},
               {"UIDMaps", encode_id_map(request.id_maps.uids)},
               {"GIDMaps", encode_id_map(request.id_maps.gids)}});
}

ChangesReply::ChangesReply(ByteSink& sink) : sink_(sink), text_("{\"Changes\":[") {}

void ChangesReply::add(std::string_view path, ChangeKind kind) {
  if (!std::exchange(empty_, false)) text_ += ',';
  text_ += "{\"Path\":";
  append_string(text_, path);
  text_ += ",\"Kind\":";
  text_ += std::to_string(static_cast<int>(kind));
  text_ += '}';
  if (text_.size() < kPieceSize) return;
  sink_.write(as_bytes(text_));
  text_.clear();
}

void ChangesReply::finish() { end("]}\n"); }
void ChangesReply::fail(const std::string& text) { end("],\"Err\":" + text_of(text) + "}\n"); }

void ChangesReply::end(std::string_view rest) {
  text_ += rest;
  sink_.write(as_bytes(text_));
}

}  // namespace overlayd
