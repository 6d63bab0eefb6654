// SPDX-License-Identifier: Apache-2.0
//
// Which layers an engine knows of, as Docker writes it down beside the store:
//
//   <root>/image/<driver>/layerdb/
//     <algorithm>/<chain id>/cache-id      an image layer's
//     mounts/<container>/mount-id, init-id  a container's two
//     tmp/<random>/                        image layers being written down, or never finished: not
//                                          yet known
//   <root>/buildkit/snapshots.db           BuildKit's cache, whose layers may be in no image
//
// Source: docker/layer/filestore.go, builder/builder-next/adapters/snapshot. Any thread.
#pragma once

#include <filesystem>
#include <map>
#include <string>

namespace overlayd {

/// What an engine has made a layer for.
struct EngineUser {
  enum class Kind { Image, Container, Init };
  Kind kind;
  std::string name;  ///< an image layer's chain id, "sha256:…", or the id of the container
};

class EngineLayers {
 public:
  /// Reads the layer database. Error(NotFound) when there is none.
  explicit EngineLayers(const std::filesystem::path& layer_database);

  /// Whether the engine knows the layer. BuildKit's file is searched for its id, whatever that
  /// stands for there: a layer that is known too long is the smaller error.
  bool knows(const std::string& id) const { return user(id) != nullptr || is_cached(id); }

  /// Null when it is known only from BuildKit's file, or not at all.
  const EngineUser* user(const std::string& id) const;
  bool is_cached(const std::string& id) const;

 private:
  std::map<std::string, EngineUser> users_;  // by layer
  std::string snapshots_;
};

}  // namespace overlayd
