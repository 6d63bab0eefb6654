// SPDX-License-Identifier: Apache-2.0
#include "tests/model/plan.h"

#include <algorithm>

#include "tests/model/orders.h"

namespace overlayd::model {
namespace {

using Kind = Call::Kind;

/// More clients than this on the same layers have too many orders to look at.
constexpr size_t kMostAtOnce = 4;

constexpr size_t kRoundsBetweenClearings = 40;

/// The members of a tar in the making, by path; each directory but the root gets one.
class Sketch {
 public:
  explicit Sketch(const Tree& lower) : lower_(lower) {}

  /// Adds a member, and the directories above it, unless something is in the way. Deletes only what
  /// there is below, as far as one can guess.
  void add(const Member& member) {
    if (member.kind == Member::Kind::Whiteout && !lower_.contains(member.path)) return;
    std::vector<std::string> above;
    for (std::string at = directory_of(member.path); !at.empty(); at = directory_of(at)) {
      const auto there = members_.find(at);
      if (there != members_.end() && there->second.kind != Member::Kind::Directory) return;
      above.push_back(at);
    }
    for (const std::string& at : above) members_.try_emplace(at, Member::Kind::Directory, at);
    members_.try_emplace(member.path, member);
  }

  void make_opaque(const std::string& path) {
    const auto there = members_.find(path);
    if (there != members_.end() && there->second.kind == Member::Kind::Directory) {
      opaque_.insert(path);
    }
  }

  Members members(bool deletions_last) const {
    Members members, deletions;
    Members& order = deletions_last ? deletions : members;
    for (const auto& [path, member] : members_) {
      (member.kind == Member::Kind::Whiteout ? order : members).push_back(member);
      if (opaque_.contains(path)) order.push_back({Member::Kind::Opaque, path});
    }
    members.insert(members.end(), deletions.begin(), deletions.end());
    return members;
  }

 private:
  const Tree& lower_;
  std::map<std::string, Member> members_;
  std::set<std::string> opaque_;
};

}  // namespace

const std::vector<std::string>& Plan::ids() {
  static const std::vector<std::string> kIds = [] {
    std::vector<std::string> ids;
    for (char c = 'a'; c <= 'l'; ++c) ids.push_back(std::string("layer-") + c);
    return ids;
  }();
  return kIds;
}

Plan::Plan(uint64_t seed, size_t clients) : random_(seed), clients_(clients), model_("") {}

Round Plan::next() {
  if (++rounds_ % kRoundsBetweenClearings == 0) return clearing();
  Round round;
  // Either each client has layers of its own, or all meet at one or two.
  const bool meet = chance(60);
  std::vector<std::string> met{one_of(ids())};
  if (chance(50)) met.push_back(one_of(ids()));
  for (size_t lane = 0; lane < clients_; ++lane) {
    std::vector<std::string> own = met;
    if (!meet) {
      own.clear();
      for (size_t i = lane % ids().size(); i < ids().size(); i += clients_) own.push_back(ids()[i]);
    }
    const bool idle = meet && lane >= kMostAtOnce;
    // Cleanup visits one layer after the other, which is all at once only if others visit but one.
    const bool may_clean = meet && met.size() == 1;
    round.lanes.push_back(
        {.calls = idle ? std::vector<Call>() : calls_of(own, may_clean), .answers = {}});
  }
  guess_ = guess(model_, std::move(guess_), round.lanes);
  if (chance(6)) {
    round.interruption = {.kill = chance(70), .after = pick(2 * std::min(clients_, kMostAtOnce))};
    guess_ = restarted(std::move(guess_));
  }
  round.acts = any_acts();
  return round;
}

// What the guess has wrong adds up: now and then both begin with nothing again.
Round Plan::clearing() {
  Lane lane;
  for (int generation = 0; generation < 4; ++generation) {
    for (const std::string& id : ids()) {
      lane.calls.push_back({.kind = Kind::Remove, .id = id, .number = ++steps_});
    }
  }
  guess_ = {};
  return {.lanes = {std::move(lane)}, .interruption = std::nullopt, .acts = {}};
}

// ------------------------------------------------------------------------------------------ calls

std::vector<Call> Plan::calls_of(const std::vector<std::string>& ids, bool may_clean) {
  std::vector<Call> calls;
  for (size_t count = 1 + pick(2); count > 0; --count) {
    calls.push_back(may_clean && chance(5) ? Call{.kind = Kind::Cleanup} : call_on(one_of(ids)));
    calls.back().number = ++steps_;
  }
  return calls;
}

Call Plan::call_on(const std::string& id) {
  const Layer* layer = find(id);
  if (chance(2)) return with_bad_id(call_on(id));
  if (!layer && chance(85)) return create(id);
  const bool fresh = layer && layer->empty && !layer->committed && layer->holders == 0;
  if (fresh && !layer->unfinished && chance(40)) return apply(id);
  if (layer && layer->unfinished && chance(30)) return {.kind = Kind::Remove, .id = id};
  switch (pick(28)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
    case 5: return {.kind = Kind::Get, .id = id};
    case 6:
    case 7:
    case 8:
    case 9:
    case 10: return {.kind = Kind::Put, .id = id};
    case 11: return {.kind = Kind::Exists, .id = id};
    case 12: return {.kind = Kind::GetMetadata, .id = id};
    case 13:
    case 14:
    case 15: return read(Kind::Diff, id);
    case 16:
    case 17: return read(Kind::Changes, id);
    case 18:
    case 19: return read(Kind::DiffSize, id);
    case 20:
    case 21:
    case 22: return {.kind = Kind::Remove, .id = id};
    case 23: return apply(id);
    case 24: return create(id);
    case 25: {
      Call child = create(one_of(ids()));
      if (child.id != id && !find(child.id)) child.parent = id;
      return child;
    }
    case 26: return {.kind = Kind::Status};
    default: return {.kind = chance(50) ? Kind::Init : Kind::Capabilities};
  }
}

Call Plan::create(const std::string& id) {
  return {
      .kind = chance(50) ? Kind::Create : Kind::CreateReadWrite, .id = id, .parent = any_parent()};
}

Call Plan::apply(const std::string& id) {
  const Layer* layer = find(id);
  Call call{.kind = Kind::ApplyDiff, .id = id};
  const bool on_parent = layer && !layer->parent.empty();
  if (on_parent && chance(80)) call.parent = layer->parent;
  if (chance(4)) call.parent = any_parent();
  const Layer* parent = on_parent ? find(layer->parent) : nullptr;
  call.members = any_members(parent ? *parent->tree : Tree());
  if (chance(20)) call.fault = static_cast<Call::Fault>(1 + pick(3));
  return call;
}

Call Plan::read(Kind kind, const std::string& id) {
  Call call{.kind = kind, .id = id};
  for (const Layer* at = find(id); at && !at->parent.empty(); at = find(at->parent)) {
    call.parent = at->parent;
    if (chance(65)) break;
  }
  if (chance(20)) call.parent.clear();
  if (chance(5)) call.parent = any_parent();
  return call;
}

Call Plan::with_bad_id(Call call) {
  static const std::vector<std::string> kBad = {"",     ".hidden", "l",      "a/b",
                                                "../x", "..",      "/etc/x", std::string(256, 'x')};
  call.id = one_of(kBad);
  return call;
}

std::string Plan::any_parent() {
  if (chance(5)) return one_of(ids());
  std::vector<std::string> there{""};
  for (const auto& [id, layer] : guess_.layers) there.push_back(id);
  return one_of(there);
}

const Layer* Plan::find(const std::string& id) const {
  const auto found = guess_.layers.find(id);
  return found == guess_.layers.end() ? nullptr : &found->second;
}

// ---------------------------------------------------------------------------------------- content

std::string Plan::any_path() {
  std::string path;
  do {
    path += (path.empty() ? "" : "/") + std::string(1, static_cast<char>('a' + pick(4)));
  } while (chance(45) && path.size() < 7);
  return path;
}

Members Plan::any_members(const Tree& lower) {
  Sketch sketch(lower);
  for (size_t count = pick(8); count > 0; --count) {
    std::string path = any_path();
    if (!lower.empty() && chance(50)) {
      path = std::next(lower.begin(), static_cast<long>(pick(lower.size())))->first;
    }
    switch (pick(8)) {
      case 0: sketch.add({Member::Kind::Directory, path}); break;
      case 1:
      case 2: sketch.add({Member::Kind::Whiteout, path}); break;
      case 3: sketch.make_opaque(directory_of(path)); break;
      default: sketch.add({Member::Kind::File, path, ++files_});
    }
  }
  return sketch.members(chance(30));
}

// ------------------------------------------------------------------------------------------- acts

std::vector<Act> Plan::any_acts() {
  std::vector<Act> acts;
  const auto add = [&](const Act& act) {
    if (!possible(act, guess_)) return;
    acts.push_back(act);
    guess_ = done(act, std::move(guess_));
  };
  std::vector<std::string> writable;
  for (const auto& [id, layer] : guess_.layers) {
    if (layer.writable()) writable.push_back(id);
  }
  for (size_t count = writable.empty() ? 0 : pick(4); count > 0; --count) {
    const std::string& id = one_of(writable);
    add({.kind = Act::Kind::Edit, .id = id, .edit = any_edit(*find(id)->tree)});
  }
  const auto maybe = [&](unsigned percent, Act::Kind kind, const std::string& id) {
    if (chance(percent)) add({.kind = kind, .id = id});
  };
  std::vector<std::string> mounted, rooted;
  for (const auto& [id, layer] : guess_.layers) {
    if (layer.mount != Mount::None) mounted.push_back(id);
    if (layer.rooted) rooted.push_back(id);
  }
  if (!rooted.empty()) maybe(10, Act::Kind::Leave, one_of(rooted));
  if (!mounted.empty()) maybe(10, Act::Kind::Enter, one_of(mounted));
  if (!mounted.empty()) maybe(6, Act::Kind::Unmount, one_of(mounted));
  maybe(2, Act::Kind::Stop, "");
  maybe(2, Act::Kind::Kill, "");
  return acts;
}

Edit Plan::any_edit(const Tree& tree) {
  Edit edit{static_cast<Edit::Kind>(pick(4)), any_path(), ++files_};
  if (!tree.empty() && chance(60)) {
    edit.path = std::next(tree.begin(), static_cast<long>(pick(tree.size())))->first;
  }
  return edit;
}

std::string to_string(const Round& round) {
  std::string text = to_string(round.lanes);
  if (round.interruption) {
    text += std::string("  ") + (round.interruption->kill ? "kill" : "stop") + " after " +
            std::to_string(round.interruption->after) + " answers, and start\n";
  }
  for (const Act& act : round.acts) text += "  then " + to_string(act) + "\n";
  return text;
}

}  // namespace overlayd::model
