// SPDX-License-Identifier: Apache-2.0
#include "core/engine_layers.h"

#include <dirent.h>
#include <fcntl.h>

#include <algorithm>

#include "core/error.h"
#include "core/layer_id.h"
#include "core/sys.h"

namespace overlayd {
namespace {

constexpr size_t kMaxSnapshots = size_t{1} << 30;
constexpr const char* kUnfinished = "tmp";
constexpr const char* kContainers = "mounts";

struct IdFile {
  const char* name;
  EngineUser::Kind kind;
};
constexpr IdFile kIdFiles[] = {{"cache-id", EngineUser::Kind::Image},
                               {"mount-id", EngineUser::Kind::Container},
                               {"init-id", EngineUser::Kind::Init}};

}  // namespace

EngineLayers::EngineLayers(const std::filesystem::path& layer_database) {
  const UniqueFd root = sys::openat(AT_FDCWD, layer_database, O_RDONLY | O_DIRECTORY);
  for (const sys::DirEntry& group : sys::list_directory(root.get())) {
    if (group.type != DT_DIR || group.name == kUnfinished) continue;
    const UniqueFd directory = sys::open_directory(root.get(), group.name);
    const std::string prefix = group.name == kContainers ? "" : group.name + ":";
    for (const sys::DirEntry& entry : sys::list_directory(directory.get())) {
      for (const IdFile& file : kIdFiles) {
        const auto id =
            sys::try_read_file(directory.get(), entry.name + "/" + file.name, LayerId::kMaxLength);
        if (id) users_.insert_or_assign(*id, EngineUser{file.kind, prefix + entry.name});
      }
    }
  }
  const std::filesystem::path snapshots =
      std::filesystem::canonical(layer_database) / "../../../buildkit/snapshots.db";
  snapshots_ = sys::try_read_file(AT_FDCWD, snapshots, kMaxSnapshots).value_or("");
}

const EngineUser* EngineLayers::user(const std::string& id) const {
  const auto found = users_.find(id);
  return found == users_.end() ? nullptr : &found->second;
}

bool EngineLayers::is_cached(const std::string& id) const {
  return snapshots_.find(id) != std::string::npos;
}

}  // namespace overlayd
