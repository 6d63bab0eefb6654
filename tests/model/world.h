// SPDX-License-Identifier: Apache-2.0
//
// World: overlayd as a process, and what programs do to its layers. Below its directory it keeps
// the home, the state directory, the socket and overlayd's log, and two mounts that are nobody's
// business. One thread uses it while no client does, and kill() or stop() also while clients do.
#pragma once

#include <sys/types.h>

#include <map>
#include <set>
#include <string>

#include "tests/model/found.h"
#include "tests/model/tree.h"

namespace overlayd::model {

class World {
 public:
  explicit World(std::string directory);
  ~World();  ///< kills what runs; mounts of layers stay
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  std::string home() const { return directory_ + "/home"; }
  std::string socket() const { return directory_ + "/socket"; }

  void start();  ///< returns once it takes connections
  void stop();   ///< throws Error if it does not end well
  void kill();
  std::string end_of_log() const;

  void edit(const std::string& id, bool mounted, const Edit& edit);
  void unmount(const std::string& id);
  void enter(const std::string& id);
  void leave(const std::string& id);
  /// Ends the processes in all other layers.
  void leave_all_but(const std::set<std::string>& ids);
  /// Whether the layer has nothing of its own.
  bool is_empty(const std::string& id) const;

  /// Waits until what was removed is deleted.
  Found look() const;
  /// Throws Error unless the two foreign mounts are as they were; then they go.
  void end();

 private:
  std::string path_of(const std::string& id, const char* name) const;
  int wait();
  void check_log() const;
  std::string read_log() const;

  std::string directory_;
  pid_t overlayd_ = -1;
  std::map<std::string, pid_t> inside_;  // by layer
};

}  // namespace overlayd::model
