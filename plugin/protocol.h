// SPDX-License-Identifier: Apache-2.0
//
// The graph driver plugin protocol as C++ values, and their JSON. docs/protocol.md describes it to
// people. Replies are encoded byte for byte the same for the same value.
//
// Decoding ignores fields it does not know, and takes an absent or null field as empty. It throws
// Error(InvalidArgument) for a body that is empty or no JSON object, for a field of the wrong type,
// and for an id that is no LayerId; the message names the field. Pure functions: any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/change.h"
#include "core/id_map.h"
#include "core/layer_id.h"
#include "core/stream.h"

namespace overlayd {

struct InitRequest {
  std::filesystem::path home;
  std::vector<std::string> options;
  IdMaps id_maps;
  bool operator==(const InitRequest&) const = default;
};

/// Create and CreateReadWrite.
struct CreateRequest {
  LayerId id;
  std::optional<LayerId> parent;
  std::string mount_label;
  std::vector<std::pair<std::string, std::string>> storage_options;  ///< sorted by key
};

/// Remove, Put, Exists, GetMetadata.
struct LayerRequest {
  LayerId id;
};

struct GetRequest {
  LayerId id;
  std::string mount_label;
};

/// Diff, Changes, DiffSize, and the query of ApplyDiff.
struct DiffRequest {
  LayerId id;
  std::optional<LayerId> parent;
};

InitRequest decode_init(std::string_view body);
CreateRequest decode_create(std::string_view body);
LayerRequest decode_layer(std::string_view body);
GetRequest decode_get(std::string_view body);
DiffRequest decode_diff(std::string_view body);
/// "id=…&parent=…", values taken as they are: Docker does not escape them.
DiffRequest decode_apply_query(std::string_view query);

struct ErrorReply {
  std::string text;
};
struct EmptyReply {};
struct ActivateReply {};
struct CapabilitiesReply {};
struct GetReply {
  std::filesystem::path dir;
};
struct ExistsReply {
  bool exists = false;
};
struct StatusReply {
  std::vector<std::pair<std::string, std::string>> rows;
};
struct MetadataReply {
  std::vector<std::pair<std::string, std::string>> values;  ///< encoded sorted by key
};
struct SizeReply {
  int64_t size = 0;
};

/// One line of JSON with its newline; text that is not UTF-8 gets U+FFFD for each invalid part.
std::string encode(const ErrorReply& reply);
std::string encode(const EmptyReply& reply);
std::string encode(const ActivateReply& reply);
std::string encode(const CapabilitiesReply& reply);
std::string encode(const GetReply& reply);
std::string encode(const ExistsReply& reply);
std::string encode(const StatusReply& reply);
std::string encode(const MetadataReply& reply);
std::string encode(const SizeReply& reply);
/// As decode_init takes it; how the last Init is kept across restarts.
std::string encode(const InitRequest& request);

/// The answer to Changes, in pieces, as they are found: engines decode it more slowly than layers
/// are read. Ended by either finish() or fail(), once.
class ChangesReply {
 public:
  /// `sink` must outlive this; its errors leave any method.
  explicit ChangesReply(ByteSink& sink);
  void add(std::string_view path, ChangeKind kind);
  void finish();
  /// Engines take it for the answer of a call that failed, whatever they have of the list.
  void fail(const std::string& text);

 private:
  void end(std::string_view rest);

  ByteSink& sink_;
  std::string text_;
  bool empty_ = true;
};

}  // namespace overlayd
