// SPDX-License-Identifier: Apache-2.0
//
// EngineNames: what people call the images and containers that an engine has made layers for, as
// Docker writes it down:
//
//   <root>/image/<driver>/repositories.json                 names of images
//   <root>/image/<driver>/imagedb/content/<algorithm>/<id>  of each, what its layers hold
//   <root>/image/<driver>/layerdb/<algorithm>/<chain id>/diff, parent
//   <root>/containers/<id>/config.v2.json                   a container's name
//
// Source: docker/image/fs.go, docker/reference/store.go, docker/layer/filestore.go. What cannot be
// read or understood only leaves names out. Any thread.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/engine_layers.h"

namespace overlayd {

class EngineNames {
 public:
  EngineNames() = default;
  explicit EngineNames(const std::filesystem::path& layer_database);

  /// Of a container, or of the images whose topmost layer it is, sorted; without a name the first
  /// digits of the id. Printable.
  std::vector<std::string> of(const EngineUser& user) const;

 private:
  std::map<std::string, std::vector<std::string>> images_;  // by chain id
  std::filesystem::path containers_;
};

}  // namespace overlayd
