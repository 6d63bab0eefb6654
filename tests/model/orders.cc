// SPDX-License-Identifier: Apache-2.0
#include "tests/model/orders.h"

#include <algorithm>
#include <map>
#include <set>

namespace overlayd::model {
namespace {

/// How far a lane has got.
struct Progress {
  size_t call = 0;
  unsigned part = 0;
  auto operator<=>(const Progress&) const = default;
};
using Place = std::vector<Progress>;

void add(States& states, const State& state) {
  if (std::ranges::find(states, state) == states.end()) states.push_back(state);
}

class Search {
 public:
  Search(const Model& model, const std::vector<Lane>& lanes) : model_(model), lanes_(lanes) {}

  States run(const States& from) {
    group(from);
    for (const State& state : from) add(open_[Place(lanes_.size())], state);
    // Each part leads to a later place.
    while (!open_.empty()) {
      const auto [place, states] = std::move(*open_.begin());
      open_.erase(open_.begin());
      for (const State& state : states) look_at(place, state);
    }
    return std::move(found_);
  }

 private:
  const Answer* answer(size_t lane, const Progress& at) const {
    const Answer& answer = lanes_[lane].answers[at.call];
    return answer.kind == Answer::Kind::None ? nullptr : &answer;
  }

  /// Nothing is left that must be done.
  bool may_end(size_t lane, const Progress& at) const {
    return at.call == lanes_[lane].answers.size() || !answer(lane, at);
  }

  void look_at(const Place& place, const State& state) {
    bool all_may_end = true;
    for (size_t lane = 0; lane < place.size(); ++lane) {
      all_may_end = all_may_end && may_end(lane, place[lane]);
    }
    if (all_may_end) {
      State end = state;
      end.pending.clear();
      add(found_, end);
    }
    // Groups do not concern each other, so that of their orders one will do.
    size_t group = lanes_.size();
    for (size_t lane = 0; lane < place.size(); ++lane) {
      if (!may_end(lane, place[lane])) group = std::min(group, group_[lane]);
    }
    for (size_t lane = 0; lane < place.size(); ++lane) {
      if (place[lane].call == lanes_[lane].answers.size()) continue;
      if (group < lanes_.size() && group_[lane] != group) continue;
      go(place, state, lane);
    }
  }

  void go(const Place& place, const State& state, size_t lane) {
    const Progress& at = place[lane];
    const Call& call = lanes_[lane].calls[at.call];
    for (auto& next : model_.step(state, lane, call, at.part, answer(lane, at))) {
      Place there = place;
      there[lane] = next.over ? Progress{at.call + 1, 0} : Progress{at.call, at.part + 1};
      add(open_[there], next.state);
    }
  }

  /// The parent, and what goes with it if it is gone already and the layer goes.
  static void insert_below(const State& state, const Layer& layer, std::set<std::string>& names) {
    names.insert(layer.parent);
    for (auto below = state.layers.find(layer.parent);
         below != state.layers.end() && below->second.gone;
         below = state.layers.find(below->second.parent)) {
      names.insert(below->second.parent);
    }
  }

  /// Lanes that name the same layers, or layers with the same parent, go together; Cleanup names
  /// all.
  void group(const States& from) {
    std::vector<std::set<std::string>> names(lanes_.size());
    for (size_t lane = 0; lane < lanes_.size(); ++lane) {
      group_.push_back(lane);
      for (const Call& call : lanes_[lane].calls) {
        names[lane].insert({call.id, call.parent});
        for (const State& state : from) {
          for (const auto& [id, layer] : state.layers) {
            if (call.kind == Call::Kind::Cleanup || id == call.id) {
              names[lane].insert(id);
              insert_below(state, layer, names[lane]);
            }
          }
        }
      }
      names[lane].erase("");
    }
    for (size_t a = 0; a < lanes_.size(); ++a) {
      for (size_t b = 0; b < a; ++b) {
        const bool meet = std::ranges::any_of(
            names[a], [&](const auto& name) { return names[b].contains(name); });
        if (meet && group_[a] != group_[b]) {
          const size_t old = std::max(group_[a], group_[b]), one = std::min(group_[a], group_[b]);
          std::ranges::replace(group_, old, one);
        }
      }
    }
  }

  const Model& model_;
  const std::vector<Lane>& lanes_;
  std::vector<size_t> group_;  // by lane
  std::map<Place, States> open_;
  States found_;
};

}  // namespace

States explain(const Model& model, const States& from, const std::vector<Lane>& lanes) {
  return Search(model, lanes).run(from);
}

States explain(const Model& model, const States& from, const Call& call, const Answer& answer) {
  return explain(model, from, {Lane{.calls = {call}, .answers = {answer}}});
}

State guess(const Model& model, State state, const std::vector<Lane>& lanes) {
  for (const Lane& lane : lanes) {
    for (const Call& call : lane.calls) {
      for (unsigned part = 0;; ++part) {
        // Of those possible the last is the one that is complete.
        auto next = model.step(state, 0, call, part, nullptr);
        state = std::move(next.back().state);
        if (next.back().over) break;
      }
    }
  }
  state.pending.clear();
  return state;
}

}  // namespace overlayd::model
