// SPDX-License-Identifier: Apache-2.0
//
// That the model can tell right from wrong.
#include "tests/model/orders.h"

#include <doctest/doctest.h>

namespace overlayd::model {
namespace {

using Kind = Call::Kind;

const Model kModel("/home");
const Answer kDone{.kind = Answer::Kind::Success, .text = "{}\n"};
const Answer kNoAnswer{.kind = Answer::Kind::None};

Answer exists(bool there) {
  return {.kind = Answer::Kind::Success,
          .text = there ? "{\"Exists\":true}\n" : "{\"Exists\":false}\n"};
}
Answer got(const std::string& path) {
  return {.kind = Answer::Kind::Success, .text = "{\"Dir\":\"/home/" + path + "\"}\n"};
}
Answer refused(const std::string& why) { return {.kind = Answer::Kind::Failure, .text = why}; }

Lane lane(Kind kind, const Answer& answer, const std::string& id = "top") {
  return {.calls = {{.kind = kind, .id = id, .number = 9}}, .answers = {answer}};
}

/// "top" on "base".
States two_layers() {
  States states{State{}};
  states = explain(kModel, states, {.kind = Kind::Create, .id = "base", .number = 1}, kDone);
  return explain(kModel, states, {.kind = Kind::Create, .id = "top", .parent = "base", .number = 2},
                 kDone);
}

TEST_CASE("what one client was told of its own call holds for its next") {
  const auto told = [](bool there) {
    return Lane{.calls = {{.kind = Kind::Create, .id = "new"}, {.kind = Kind::Exists, .id = "new"}},
                .answers = {kDone, exists(there)}};
  };
  CHECK(explain(kModel, two_layers(), {told(true)}).size() == 1);
  CHECK(explain(kModel, two_layers(), {told(false)}).empty());
}

TEST_CASE("calls at once may come in any order, but in one for all") {
  const Lane remove = lane(Kind::Remove, kDone);
  const auto looks = [](bool first, bool second) {
    return Lane{.calls = {{.kind = Kind::Exists, .id = "top"}, {.kind = Kind::Exists, .id = "top"}},
                .answers = {exists(first), exists(second)}};
  };
  CHECK(explain(kModel, two_layers(), {remove, looks(true, true)}).size() == 1);
  CHECK(explain(kModel, two_layers(), {remove, looks(true, false)}).size() == 1);
  CHECK(explain(kModel, two_layers(), {remove, looks(false, false)}).size() == 1);
  CHECK(explain(kModel, two_layers(), {remove, looks(false, true)}).empty());
  CHECK(explain(kModel, two_layers(), {looks(true, false)}).empty());
}

TEST_CASE("no count is lost among calls at once") {
  const Lane get = lane(Kind::Get, got("top/merged"));
  const States states = explain(kModel, two_layers(), {get, get, get, lane(Kind::Put, kDone)});
  // The Put came before all Gets, or after one.
  REQUIRE(states.size() == 2);
  for (const State& state : states) CHECK(state.layers.at("top").holders >= 2);
}

TEST_CASE("a call without an answer may have happened or not") {
  const States states = explain(kModel, two_layers(), {lane(Kind::Get, kNoAnswer)});
  REQUIRE(states.size() == 2);
  CHECK(states[0].layers.at("top").holders + states[1].layers.at("top").holders == 1);
  CHECK(explain(kModel, two_layers(), {lane(Kind::Exists, kNoAnswer)}).size() == 1);
}

TEST_CASE("a layer that was cut off while it was filled is never empty or whole") {
  const Call apply{.kind = Kind::ApplyDiff, .id = "top", .members = {{Member::Kind::File, "a", 1}}};
  for (const State& state :
       explain(kModel, two_layers(), {Lane{.calls = {apply}, .answers = {kNoAnswer}}})) {
    const State after = restarted(state);
    const Layer& top = after.layers.at("top");
    CHECK((top.unfinished || top.empty == (*top.tree).empty()));
    const Answer why = refused("layer 'top' can only be removed: its ApplyDiff did not finish");
    const bool refuses = !explain(kModel, {after}, {lane(Kind::Get, why)}).empty();
    CHECK(refuses == top.unfinished);
  }
}

TEST_CASE("an error must say what is wrong") {
  const auto says = [](const std::string& why) {
    return !explain(kModel, two_layers(), {lane(Kind::ApplyDiff, refused(why), "base")}).empty();
  };
  CHECK(says("layer 'base' has children and is read-only"));
  CHECK(!says("there is no layer 'base'"));
  CHECK(explain(kModel, two_layers(), {lane(Kind::ApplyDiff, kDone, "base")}).empty());
}

TEST_CASE("what is removed under another is there for that one only") {
  States states = explain(kModel, two_layers(), {lane(Kind::Remove, kDone, "base")});
  REQUIRE(states.size() == 1);
  states.push_back(restarted(states[0]));
  for (const State& state : states) {
    CHECK(state.layers.at("base").lingers());
    CHECK(explain(kModel, {state}, {lane(Kind::Exists, exists(true), "base")}).empty());
    CHECK(!explain(kModel, {state}, {lane(Kind::Exists, exists(false), "base")}).empty());
    CHECK(!explain(kModel, {state}, {lane(Kind::Exists, exists(true), "top")}).empty());
    CHECK(explain(kModel, {state}, {lane(Kind::Create, kDone, "base")}).empty());
    const States after = explain(kModel, {state}, {lane(Kind::Remove, kDone, "top")});
    REQUIRE(after.size() == 1);
    CHECK(after[0].layers.empty());
  }
}

TEST_CASE("a tar must have what was changed, and nothing else") {
  States states = two_layers();
  states[0].layers.at("top").tree = SharedTree(Tree{{"d", kDirectory}, {"d/f", 5}});
  const auto takes = [&](const Members& members) {
    const Answer tar{.kind = Answer::Kind::Success, .members = members};
    return !explain(kModel, states, {lane(Kind::Diff, tar)}).empty();
  };
  const Member directory{Member::Kind::Directory, "d"};
  CHECK(takes({directory, {Member::Kind::File, "d/f", 5}}));
  CHECK(!takes({directory, {Member::Kind::File, "d/f", 6}}));
  CHECK(!takes({directory}));
  CHECK(!takes({directory, {Member::Kind::File, "d/f", 5}, {Member::Kind::File, "d/g", 7}}));
}

TEST_CASE("an id is free again when the last layer that lies on its layer goes") {
  States states{State{}};
  const auto then = [&](const Call& call) { states = explain(kModel, states, call, kDone); };
  then({.kind = Kind::Create, .id = "lowest", .number = 1});
  then({.kind = Kind::Create, .id = "middle", .parent = "lowest", .number = 2});
  then({.kind = Kind::Create, .id = "top", .parent = "middle", .number = 3});
  then({.kind = Kind::Remove, .id = "lowest", .number = 4});
  then({.kind = Kind::Remove, .id = "middle", .number = 5});
  REQUIRE(states.size() == 1);
  const Lane create = lane(Kind::Create, kDone, "lowest");
  const Lane remove = lane(Kind::Remove, kDone, "top");
  CHECK(explain(kModel, states, {create}).empty());
  CHECK(explain(kModel, states, {remove, create}).size() == 1);
  CHECK(explain(kModel, states, {create, remove}).size() == 1);
}

}  // namespace
}  // namespace overlayd::model
