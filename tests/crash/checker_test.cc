// SPDX-License-Identifier: Apache-2.0
#include "tests/crash/checker.h"

#include <doctest/doctest.h>

namespace overlayd::test {
namespace {

using Found = std::map<std::string, FoundLayer>;
using Kind = Violation::Kind;

const std::vector<std::string> kEmpty{".: directory"};
const std::vector<std::string> kFull{".: directory", "a: file 'whole'"};
const std::vector<std::string> kTorn{".: directory", "a: file ''"};

/// A workload of one call on one layer, made at 10 and answered at 20.
struct Case {
  Case(Call::Kind kind, std::string layer) : id(std::move(layer)) {
    workload.calls.push_back({.kind = kind, .id = id});
    recording.times.push_back({.begun = 10, .answered = 20});
    recording.contents = {{id, kind == Call::Kind::Create ? kEmpty : kFull}};
  }

  /// What is wrong with the layer when it is found like this; "" when nothing is.
  std::string verdict(uint32_t cut, FoundLayer found) const {
    found.parent = found.parent.empty() ? kBaseLayer : found.parent;
    const auto violations = judge(workload, recording, cut, {{id, found}});
    return violations.empty() ? "" : to_string(violations.front().kind);
  }

  std::string id;
  Workload workload;
  Recording recording;
};

const FoundLayer kAbsent{};
const FoundLayer kEmptyLayer{.exists = true, .content = kEmpty};
const FoundLayer kFullLayer{.exists = true, .content = kFull};
const FoundLayer kTornLayer{.exists = true, .content = kTorn};
const FoundLayer kUnfinished{.exists = true, .unfinished = true};
const FoundLayer kDamaged{.exists = true, .damage = "somehow"};

const FoundLayer kUnlikeRecord{.exists = true, .content = kFull, .unlike_record = "has no digests"};

TEST_CASE("an ApplyDiff that answered must be there to the last byte") {
  const Case apply(Call::Kind::Apply, "empty0");
  CHECK(apply.verdict(20, kFullLayer).empty());
  CHECK(apply.verdict(20, kAbsent) == "lost");
  CHECK(apply.verdict(20, kEmptyLayer) == "lost");
  CHECK(apply.verdict(20, kUnfinished) == "lost");
  CHECK(apply.verdict(20, kTornLayer) == "torn");
  CHECK(apply.verdict(20, kDamaged) == "torn");
  CHECK(apply.verdict(20, kUnlikeRecord) == "torn");
}

TEST_CASE(
    "an ApplyDiff that did not answer may be there, not be there, or say that it is unfinished") {
  const Case apply(Call::Kind::Apply, "empty0");
  CHECK(apply.verdict(19, kFullLayer).empty());
  CHECK(apply.verdict(19, kEmptyLayer).empty());
  CHECK(apply.verdict(19, kUnfinished).empty());
  CHECK(apply.verdict(19, kAbsent) == "half");
  CHECK(apply.verdict(19, kTornLayer) == "half");
  CHECK(apply.verdict(19, kDamaged) == "half");
}

TEST_CASE("a call that had not begun leaves everything as it was") {
  const Case apply(Call::Kind::Apply, "empty0");
  CHECK(apply.verdict(9, kEmptyLayer).empty());
  CHECK(apply.verdict(9, kFullLayer) == "harmed");
  CHECK(apply.verdict(9, kUnfinished) == "harmed");
}

TEST_CASE("a Create that answered must be there, empty and on its parent") {
  const Case create(Call::Kind::Create, "new0");
  CHECK(create.verdict(20, kEmptyLayer).empty());
  CHECK(create.verdict(20, kAbsent) == "lost");
  CHECK(create.verdict(20, kDamaged) == "torn");
  FoundLayer orphan = kEmptyLayer;
  orphan.parent = "another";
  CHECK(create.verdict(20, orphan) == "torn");
  CHECK(create.verdict(19, kAbsent).empty());
  CHECK(create.verdict(19, kEmptyLayer).empty());
  CHECK(create.verdict(19, kDamaged) == "half");
}

TEST_CASE("a Remove that answered leaves nothing, and one that did not, all or nothing") {
  const Case remove(Call::Kind::Remove, "filled0");
  CHECK(remove.verdict(20, kAbsent).empty());
  CHECK(remove.verdict(20, kFullLayer) == "lost");
  CHECK(remove.verdict(19, kAbsent).empty());
  CHECK(remove.verdict(19, kFullLayer).empty());
  CHECK(remove.verdict(19, kTornLayer) == "half");
}

TEST_CASE("an ApplyDiff after a Create of the same layer builds on what the Create may have left") {
  Case both(Call::Kind::Create, "new0");
  both.workload.calls.push_back({.kind = Call::Kind::Apply, .id = "new0"});
  both.recording.times.push_back({.begun = 20, .answered = 30});
  both.recording.contents = {{"new0", kFull}};
  CHECK(both.verdict(15, kAbsent).empty());
  CHECK(both.verdict(25, kAbsent) == "half");
  CHECK(both.verdict(25, kEmptyLayer).empty());
  CHECK(both.verdict(25, kFullLayer).empty());
  CHECK(both.verdict(30, kEmptyLayer) == "lost");
}

}  // namespace
}  // namespace overlayd::test
