// SPDX-License-Identifier: Apache-2.0
//
// A run: a plan played against overlayd, and everything that overlayd says and does held against
// the model. What is not known (a call that was killed may have happened) is kept as several states
// until something tells which it is.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "tests/model/call.h"

namespace overlayd::model {

struct RunOptions {
  uint64_t seed = 1;
  size_t steps = 10'000;  ///< calls and acts
  size_t clients = 4;
};

struct RunReport {
  std::string failure;  ///< what went wrong, and how it came to it; empty if nothing did
  size_t steps = 0;
  size_t rounds = 0;
  size_t kills = 0;
  size_t stops = 0;
  struct Outcomes {
    size_t succeeded = 0, failed = 0, unknown = 0;
  };
  std::map<Call::Kind, Outcomes> calls;  ///< of the plan
  std::map<std::string, size_t> acts;
  size_t questions = 0;    ///< calls made in between, to compare
  size_t most_states = 1;  ///< that were possible at once
};

/// Needs root and a mount namespace of its own; `directory` is empty, and is so again if nothing
/// went wrong.
RunReport run(const std::string& directory, const RunOptions& options);

std::string to_string(const RunReport& report);

}  // namespace overlayd::model
