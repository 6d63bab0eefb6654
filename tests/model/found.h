// SPDX-License-Identifier: Apache-2.0
//
// What can be seen of a store without asking overlayd, and whether it is as the model has it.
#pragma once

#include <sys/types.h>

#include <map>
#include <set>
#include <string>

#include "tests/model/model.h"

namespace overlayd::model {

/// The name in the home of a mount that is not overlayd's.
inline constexpr char kStranger[] = "stranger";

/// What lies on disk and in the mount table.
struct Found {
  std::map<std::string, std::set<std::string>> layers;  ///< names in each layer's directory
  std::set<std::string> linked;                         ///< the layers that l/ leads to
  std::map<std::string, unsigned> recorded;             ///< holders, in the state directory
  std::map<std::string, Mount> mounts;                  ///< of layers
  std::map<std::string, Tree> shown;                    ///< through the mounts
  std::map<std::string, Tree> roots;                    ///< as the processes in them see them
  std::set<std::string> others;                         ///< whatever else is in the home
  std::string survey;                                   ///< what core finds wrong
};

/// Waits until what was removed is deleted. The processes have the layer's mount as their root.
Found look(const std::string& home, const std::string& state_dir,
           const std::map<std::string, pid_t>& processes);

/// What of `found` is not as it must be in this state; empty if all is.
std::string difference(const State& state, const Found& found);

}  // namespace overlayd::model
