// SPDX-License-Identifier: Apache-2.0
#include "tests/model/run.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <functional>
#include <random>
#include <thread>

#include "core/error.h"
#include "tests/model/client.h"
#include "tests/model/orders.h"
#include "tests/model/plan.h"
#include "tests/model/world.h"

namespace overlayd::model {
namespace {

using Kind = Call::Kind;

constexpr size_t kRoundsToTell = 4;
constexpr size_t kFewStates = 8;

[[noreturn]] void fail(const std::string& what) { throw Error(ErrorKind::Internal, what); }

class Run {
 public:
  Run(const std::string& directory, const RunOptions& options)
      : options_(options),
        world_(directory),
        model_(world_.home()),
        plan_(options.seed, options.clients),
        random_(options.seed) {}

  RunReport run() {
    try {
      play_all();
    } catch (const std::exception& error) {
      report_.failure = tell(error.what());
    }
    return std::move(report_);
  }

 private:
  void play_all() {
    start();
    while (report_.steps < options_.steps) {
      ++report_.rounds;
      Round round = plan_.next();
      play_calls(round);
      compare();
      const size_t before = report_.steps;
      for (const Act& act : round.acts) play(act);
      ask_about(round);
      find_out();
      if (report_.steps > before) compare();
    }
    remove_everything();
    world_.stop();
    world_.end();
  }

  // ---- calls

  void play_calls(Round& round) {
    std::atomic<size_t> answered = 0, idle = 0;
    {
      std::vector<std::jthread> threads;
      for (size_t i = 0; i < round.lanes.size(); ++i) {
        threads.emplace_back([&, i] {
          make_calls(clients_[i], round.lanes[i], round.interruption.has_value(), answered);
          ++idle;
        });
      }
      if (round.interruption) {
        while (answered < round.interruption->after && idle < round.lanes.size()) ::sched_yield();
        round.interruption->kill ? world_.kill() : world_.stop();
      }
    }
    count(round);
    told_.push_back(to_string(round));
    if (told_.size() > kRoundsToTell) told_.pop_front();
    if (!round.interruption && any_unanswered(round.lanes)) fail("a call had no answer");
    become(explain(model_, states_, round.lanes), "no order of the calls explains the answers");
    round.interruption ? restart() : settle();
  }

  static void make_calls(Client& client, Lane& lane, bool interrupted,
                         std::atomic<size_t>& answered) {
    for (const Call& call : lane.calls) {
      Answer answer = client.make(call);
      if (interrupted && answer.text == Client::kCut) answer = {.kind = Answer::Kind::None};
      lane.answers.push_back(std::move(answer));
      if (lane.answers.back().kind == Answer::Kind::None) return;
      ++answered;
    }
  }

  static bool any_unanswered(const std::vector<Lane>& lanes) {
    return std::ranges::any_of(lanes, [](const Lane& lane) {
      return !lane.answers.empty() && lane.answers.back().kind == Answer::Kind::None;
    });
  }

  void count(const Round& round) {
    for (const Lane& lane : round.lanes) {
      for (size_t i = 0; i < lane.answers.size(); ++i) {
        auto& outcomes = report_.calls[lane.calls[i].kind];
        const Answer::Kind kind = lane.answers[i].kind;
        ++(kind == Answer::Kind::Success   ? outcomes.succeeded
           : kind == Answer::Kind::Failure ? outcomes.failed
                                           : outcomes.unknown);
        ++report_.steps;
      }
    }
    if (round.interruption) ++(round.interruption->kill ? report_.kills : report_.stops);
  }

  // ---- acts

  void start() {
    world_.start();
    clients_.clear();
    for (size_t i = 0; i <= options_.clients; ++i)
      clients_.emplace_back(world_.socket(), world_.home());
    ask({.kind = Kind::Init});
  }

  void restart() {
    States after;
    for (State& state : states_) {
      State next = restarted(std::move(state));
      if (std::ranges::find(after, next) == after.end()) after.push_back(std::move(next));
    }
    states_ = std::move(after);
    start();
    settle();
  }

  /// Layers that nobody holds any more are unmounted a moment later, or when the status is asked
  /// for.
  void settle() { ask({.kind = Kind::Status}); }

  void play(const Act& act) {
    // Where not all agree that it can be done, it is not.
    if (!std::ranges::all_of(states_, [&](const State& s) { return possible(act, s); })) return;
    told_.back() += "  did " + to_string(act) + "\n";
    ++report_.steps;
    ++report_.acts[name_of(act.kind)];
    switch (act.kind) {
      case Act::Kind::Edit: return edit(act);
      case Act::Kind::Unmount: world_.unmount(act.id); break;
      case Act::Kind::Enter: world_.enter(act.id); break;
      case Act::Kind::Leave: world_.leave(act.id); break;
      case Act::Kind::Stop:
        ++report_.stops;
        world_.stop();
        return restart();
      case Act::Kind::Kill:
        ++report_.kills;
        world_.kill();
        return restart();
    }
    for (State& state : states_) state = done(act, std::move(state));
  }

  void edit(const Act& act) {
    const bool mounted = states_.front().layers.at(act.id).mount != Mount::None;
    world_.edit(act.id, mounted, act.edit);
    const bool empty = world_.is_empty(act.id);
    for (State& state : states_) {
      state = done(act, std::move(state));
      state.layers.at(act.id).empty = empty;
    }
  }

  // ---- checks

  void become(States states, const std::string& otherwise) {
    if (states.empty()) fail(otherwise);
    states_ = std::move(states);
    report_.most_states = std::max(report_.most_states, states_.size());
  }

  /// Keeps the states of which `difference` finds nothing to say.
  void keep(const std::function<std::string(const State&)>& difference) {
    std::string why;
    States kept;
    for (const State& state : states_) {
      std::string what = difference(state);
      if (what.empty())
        kept.push_back(state);
      else
        why += what + "\n";
    }
    become(std::move(kept), why);
  }

  void compare() {
    leave_removed();
    const Found found = world_.look();
    keep([&](const State& state) { return difference(state, found); });
  }

  /// Processes outlive the removal of their layer. They end where it may have been removed.
  void leave_removed() {
    std::set<std::string> rooted;
    for (const std::string& id : Plan::ids()) {
      if (std::ranges::all_of(states_, [&](const State& s) { return is_rooted(s, id); })) {
        rooted.insert(id);
      }
    }
    world_.leave_all_but(rooted);
    for (State& state : states_) {
      for (auto& [id, layer] : state.layers) layer.rooted = rooted.contains(id);
    }
  }

  static bool is_rooted(const State& state, const std::string& id) {
    const auto layer = state.layers.find(id);
    return layer != state.layers.end() && layer->second.rooted;
  }

  Answer ask(const Call& call) {
    ++report_.questions;
    const Answer answer = clients_.back().make(call);
    if (answer.kind == Answer::Kind::None) fail(to_string(call) + " had no answer");
    become(explain(model_, states_, call, answer),
           "asked alone, " + to_string(call) + " -> " + to_string(answer));
    return answer;
  }

  void ask_about(const Round& round) {
    for (const std::string& id : Plan::ids()) ask({.kind = Kind::Exists, .id = id});
    std::set<std::string> ids{any_id()};
    for (const Lane& lane : round.lanes) {
      for (const Call& call : lane.calls) ids.insert(call.id);
    }
    for (const Act& act : round.acts) ids.insert(act.id);
    for (const std::string& id : ids) {
      if (!id.empty()) ask_about(id);
    }
    const Answer status = ask({.kind = Kind::Status});
    keep([&](const State& state) { return difference_in_status(state, status.text); });
  }

  void ask_about(const std::string& id) {
    ask({.kind = Kind::GetMetadata, .id = id});
    std::set<std::string> parents{"", any_id()};
    const auto found = states_.front().layers.find(id);
    if (found != states_.front().layers.end()) parents.insert(found->second.parent);
    for (const std::string& parent : parents) {
      for (const Kind kind : {Kind::Diff, Kind::Changes, Kind::DiffSize}) {
        ask({.kind = kind, .id = id, .parent = parent});
      }
    }
  }

  const std::string& any_id() { return Plan::ids()[random_() % Plan::ids().size()]; }

  /// Nothing tells how often a layer on nothing is held, and calls at once may leave that open. Put
  /// until it is not held in any case.
  void find_out() {
    for (const std::string& id : Plan::ids()) {
      while (states_.size() > kFewStates && holders_differ(id)) ask({.kind = Kind::Put, .id = id});
    }
    if (states_.size() > kFewStates) fail("too much is not known");
  }

  bool holders_differ(const std::string& id) const {
    std::set<unsigned> counts;
    for (const State& state : states_) {
      const auto layer = state.layers.find(id);
      counts.insert(layer == state.layers.end() ? 0 : layer->second.holders);
    }
    return counts.size() > 1;
  }

  static std::string difference_in_status(const State& state, const std::string& status) {
    const auto mounted =
        std::ranges::count_if(state.layers, [](const auto& entry) { return entry.second.seen; });
    const auto there =
        std::ranges::count_if(state.layers, [](const auto& entry) { return !entry.second.gone; });
    const std::string rows = "[\"Layers\",\"" + std::to_string(there) +
                             "\"],[\"Mounted Layers\",\"" + std::to_string(mounted) +
                             "\"],[\"Damaged Layers\",\"0\"]";
    return status.find(rows) == std::string::npos ? "wrong is the status " + status : "";
  }

  void remove_everything() {
    told_.push_back("  then everything was removed\n");
    for (size_t i = 0; i < Plan::ids().size(); ++i) {  // each time a generation goes
      for (const std::string& id : Plan::ids()) ask({.kind = Kind::Remove, .id = id});
    }
    compare();
    if (!states_.front().layers.empty()) fail("not everything can be removed");
  }

  // ---- telling

  std::string tell(const std::string& what) const {
    std::string text = "seed " + std::to_string(options_.seed) + ", round " +
                       std::to_string(report_.rounds) + ": " + what + "\nthe last rounds:\n";
    for (const std::string& round : told_) text += round + "  --\n";
    for (const State& state : states_) text += "what may have been there:\n" + to_string(state);
    return text + "overlayd's log ends:\n" + world_.end_of_log();
  }

  const RunOptions options_;
  World world_;
  Model model_;
  Plan plan_;
  std::mt19937_64 random_;      // which questions are asked
  std::deque<Client> clients_;  // one more than ask at once
  States states_{State{}};
  std::deque<std::string> told_{""};
  RunReport report_;
};

}  // namespace

RunReport run(const std::string& directory, const RunOptions& options) {
  return Run(directory, options).run();
}

std::string to_string(const RunReport& report) {
  std::string text = std::to_string(report.steps) + " steps in " + std::to_string(report.rounds) +
                     " rounds, " + std::to_string(report.kills) + " kills, " +
                     std::to_string(report.stops) + " stops, " + std::to_string(report.questions) +
                     " questions, at most " + std::to_string(report.most_states) +
                     " states possible\n";
  for (const auto& [kind, outcomes] : report.calls) {
    text += "  " + std::string(name_of(kind)) + ": " + std::to_string(outcomes.succeeded) +
            " succeeded, " + std::to_string(outcomes.failed) + " failed, " +
            std::to_string(outcomes.unknown) + " without an answer\n";
  }
  for (const auto& [act, count] : report.acts)
    text += "  " + act + ": " + std::to_string(count) + "\n";
  return text;
}

}  // namespace overlayd::model
