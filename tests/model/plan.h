// SPDX-License-Identifier: Apache-2.0
//
// What is to be done to a store, all of it from a seed: rounds of calls that clients make at once,
// and things that happen between them. What the calls will come to is not known here, as it depends
// on their order; the plan guesses, so that most of what it asks for makes sense.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/model/model.h"

namespace overlayd::model {

struct Round {
  std::vector<Lane> lanes;  ///< with calls only
  /// overlayd is stopped or killed when so many calls have been answered.
  struct Interruption {
    bool kill;
    size_t after;
  };
  std::optional<Interruption> interruption;
  std::vector<Act> acts;  ///< afterwards
};

class Plan {
 public:
  static const std::vector<std::string>& ids();  ///< all that layers may have

  Plan(uint64_t seed, size_t clients);
  Round next();

 private:
  size_t pick(size_t count) { return random_() % count; }
  bool chance(unsigned percent) { return pick(100) < percent; }
  template <typename List>
  const auto& one_of(const List& list) {
    return list[pick(list.size())];
  }

  Round clearing();
  std::vector<Call> calls_of(const std::vector<std::string>& ids, bool may_clean);
  Call call_on(const std::string& id);
  Call create(const std::string& id);
  Call apply(const std::string& id);
  Call read(Call::Kind kind, const std::string& id);
  Call with_bad_id(Call call);
  std::string any_parent();
  const Layer* find(const std::string& id) const;

  std::string any_path();
  Members any_members(const Tree& lower);
  std::vector<Act> any_acts();
  Edit any_edit(const Tree& tree);

  std::mt19937_64 random_;
  size_t clients_;
  Model model_;
  State guess_;
  uint64_t rounds_ = 0;
  uint64_t steps_ = 0;
  uint64_t files_ = 0;
};

/// A round before it is played.
std::string to_string(const Round& round);

}  // namespace overlayd::model
