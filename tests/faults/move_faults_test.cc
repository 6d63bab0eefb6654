// SPDX-License-Identifier: Apache-2.0
//
// Moves between drivers (plugin/move.h) that a fault interrupts at each of their places: the same
// command then goes on, and the other one goes back.
#include <sys/wait.h>

#include <cerrno>
#include <cstdlib>
#include <exception>
#include <sstream>
#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include "plugin/move.h"
#include "plugin/move_command.h"
#include "tests/faults/syscall_faults.h"
#include "tests/unit/plugin/fake_data_root.h"

namespace overlayd::test {
namespace {

constexpr int kDone = 0, kSaidWhy = 7;

/// Of faults at every place, how many are tried; see fault_loop_test.cc.
long step_of(long quick) {
  const char* wanted = std::getenv("OVERLAYD_FAULTS");
  return wanted != nullptr && std::string_view(wanted) == "all" ? 1 : quick;
}

Direction other(Direction direction) {
  return direction == Direction::Adopt ? Direction::Release : Direction::Adopt;
}

struct FaultedRoot : FakeDataRoot {
  explicit FaultedRoot(Direction direction) {
    container("second", "overlay2");
    if (direction == Direction::Release) move(Direction::Adopt);
  }

  int move(Direction direction) const {
    std::ostringstream out, err;
    const int status = run_move({.direction = direction, .root = path()}, out, err);
    CAPTURE(err.str());
    CHECK(status == kDone);
    return status;
  }

  /// What a move to its end takes away, and one that goes back may.
  void put_leftovers(Direction direction) const {
    if (direction == Direction::Adopt) {
      empty_home("overlayd");
      empty_images("overlayd");
    } else {
      put("overlayd/.overlayd/lock", "");
      put("overlayd/.overlayd/trash/gone/file", "");
      put("overlayd/moved1/size", "7\n");
      put("overlayd/moved1/digests", "…");
    }
  }

  FaultedRun move_with(Direction direction, const SyscallFault& fault) const {
    return run_with_fault(fault, [&] {
      const EngineData data(path());
      const UniqueFd lock = data.lock();
      const MovePlan plan = plan_move(data, {.direction = direction, .root = path()});
      arm_faults();
      int status = kDone;
      try {
        make_move(data, plan);
      } catch (const std::exception& error) {
        status = *error.what() != '\0' ? kSaidWhy : 1;
      }
      disarm_faults();
      std::_Exit(status);
    });
  }

  /// Without what a kill before the record leaves: the next move writes over it.
  std::string settled_tree() const {
    sys::unlinkat(dir.fd(), "overlayd-move.json.new", 0);
    return tree();
  }
};

struct Trees {
  explicit Trees(Direction direction) {
    const FaultedRoot root(direction);
    before = root.tree();
    const FaultedRun run = root.move_with(direction, {});
    CHECK(run.status == kDone);
    CHECK_MESSAGE(run.unlisted == "", "faultable_calls.cc does not list " << run.unlisted);
    after = root.tree();
    REQUIRE(before != after);
  }
  std::string before, after;
};

void goes_on(Direction direction, const SyscallFault& fault, const Trees& trees) {
  const FaultedRoot root(direction);
  root.put_leftovers(direction);
  const FaultedRun run = root.move_with(direction, fault);
  if (!run.hit) return;
  CAPTURE(run.call);
  if (fault.errnum != 0 && run.status != kDone) CHECK(WEXITSTATUS(run.status) == kSaidWhy);
  // The last calls may fail after all is done.
  if (root.tree() != trees.after) root.move(direction);
  CHECK(root.settled_tree() == trees.after);
}

/// False when the fault found no place.
bool goes_back(Direction direction, const SyscallFault& fault, const Trees& trees) {
  const FaultedRoot root(direction);
  const FaultedRun run = root.move_with(direction, fault);
  if (!run.hit) return false;
  CAPTURE(run.call);
  if (!root.has("overlayd-move.json")) {
    const std::string tree = root.settled_tree();
    CHECK((tree == trees.before || tree == trees.after));
    return true;
  }
  root.move(other(direction));
  CHECK(root.settled_tree() == trees.before);
  return true;
}

void interrupt_at_each_place(int errnum, long first, long step) {
  for (const Direction direction : {Direction::Adopt, Direction::Release}) {
    CAPTURE(to_string(direction));
    const Trees trees(direction);
    long at = first;
    for (;; at += step) {
      CAPTURE(at);
      const SyscallFault fault{.errnum = errnum, .at = at};
      if (!goes_back(direction, fault, trees)) break;
      goes_on(direction, fault, trees);
    }
    CHECK(at > 20);
  }
}

TEST_SUITE("move faults") {
  TEST_CASE("wherever a move is killed it can go on, and back") {
    interrupt_at_each_place(0, 1, step_of(5));
  }

  TEST_CASE("whatever system call of a move fails it can go on, and back") {
    long first = 0;
    for (const int error : {EIO, ENOSPC, EMFILE, ENOMEM}) {
      interrupt_at_each_place(error, step_of(++first), step_of(17));
    }
  }
}

}  // namespace
}  // namespace overlayd::test
