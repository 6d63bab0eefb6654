// SPDX-License-Identifier: Apache-2.0
//
// EngineData: an engine's data root, as far as it says which driver has what:
//
//   <root>/<driver>/                    a driver's layers; below it, for a legacy plugin as well
//   <root>/image/<driver>/              the images made of them, and what layers they are for
//   <root>/containers/<id>/config.v2.json   "Driver"; an engine on another one passes it over
//   <root>/volumes/metadata.db          flock'ed by the engine as long as it runs
//   <root>/plugins/<id>/config.json     "Name" of a managed plugin, whose driver's home is
//   <root>/plugins/<id>/propagated-mount/<name>
//
// With remapped users <root> is <data root>/<uid>.<gid>. Source: docker/daemon/daemon.go,
// docker/layer/filestore.go, docker/image/fs.go, docker/volume/service/store.go,
// docker/daemon/graphdriver/plugin.go; tests/e2e/scenarios/adopt.sh. Paths are relative to the
// root. One thread.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/commit.h"
#include "core/unique_fd.h"

namespace overlayd {

struct EngineContainer {
  std::string id;
  std::string name;    ///< printable
  std::string driver;  ///< empty: what is written down of it cannot be read
  bool is_running = false;
};

/// What there is at a place.
enum class Holds { Absent, Nothing, Something };

class EngineData {
 public:
  /// Error(NotFound) when there is no such directory, or it is no data root.
  explicit EngineData(const std::filesystem::path& root);

  const std::filesystem::path& root() const { return root_; }  ///< absolute, without symlinks
  int fd() const { return fd_.get(); }

  /// Keeps engines off: one that is started meanwhile gives up before it looks at containers.
  /// Error(Busy) when one is running.
  UniqueFd lock() const;

  /// Sorted by id.
  std::vector<EngineContainer> containers() const;

  /// Makes all containers of driver `from` containers of driver `to`, and returns how many. As
  /// kills go, some may be and others not. Survives a power cut as of core/commit.h.
  size_t change_driver(const std::string& from, const std::string& to, const Commit& commit) const;

  /// Of a driver's directory in image/: an engine that has no images makes one as well.
  Holds image_database(const std::string& path) const;
  /// Of a driver's home: the same.
  Holds home(const std::string& path) const;

  /// The homes of the managed plugins with such a name, as drivers; relative, there or not.
  std::vector<std::string> plugin_homes(const std::string& driver) const;

  /// The end of a sentence about what is not in this root: that it may be in one of remapped users,
  /// if there is any; else empty.
  std::string hint_at_remapped_root() const;

 private:
  std::filesystem::path root_;
  UniqueFd fd_;
};

}  // namespace overlayd
