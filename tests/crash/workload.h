// SPDX-License-Identifier: Apache-2.0
//
// Workload: up to three calls on a store that has some layers, one after the other or at once, and
// what a neighbour on the same disk does meanwhile.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "tests/crash/driver.h"

namespace overlayd::test {

struct Call {
  enum class Kind { Create, CreateReadWrite, Apply, Remove };
  Kind kind;
  std::string id;
  std::string tar = {};  ///< of an Apply
};

struct Workload {
  std::string name;  ///< enough to tell them apart: "Create, 2 x ApplyDiff at once, …"
  std::vector<Call> calls;
  bool at_once = false;           ///< all of them; otherwise one after the other
  bool neighbour_writes = false;  ///< much that nobody syncs
  bool neighbour_syncs = false;   ///< a small file after each answer, as an engine's layer database
};

/// The layers that are there before: one that all others lie on, one for each call of a workload
/// to fill, one for each to remove, and two for each of which one lies on the other.
inline constexpr char kBaseLayer[] = "base";
std::vector<std::string> prepared_layers();
void prepare_layers(Driver& driver);

/// Empty for the lowest.
std::string parent_of(const std::string& id);

/// The layers that a workload may make.
std::vector<std::string> possible_layers();

/// Every number is a workload; any 84 in a row have all words of up to three calls. Whether they
/// come at once, what the neighbour does, what is removed and what is in the tars depends on number
/// and `seed`. `under_others`: layers that others lie on are removed, too, which Docker's driver
/// does not outlive.
Workload make_workload(uint64_t number, uint64_t seed, bool under_others);

/// When a call was made and answered, as positions in the log of the disk.
struct CallTimes {
  uint32_t begun = std::numeric_limits<uint32_t>::max();
  uint32_t answered = std::numeric_limits<uint32_t>::max();
};

}  // namespace overlayd::test
