// SPDX-License-Identifier: Apache-2.0
//
// Faults at every place of every operation. By default a slice of them, to be quick: each place has
// one of the errors. OVERLAYD_FAULTS=all puts each of them at each place (scripts/faults).
#include "tests/faults/fault_loop.h"

#include <cerrno>
#include <cstdlib>
#include <string_view>

#include <doctest/doctest.h>

namespace overlayd::test {
namespace {

bool all() {
  const char* wanted = std::getenv("OVERLAYD_FAULTS");
  return wanted != nullptr && std::string_view(wanted) == "all";
}

constexpr int kErrors[] = {EIO, ENOSPC, EMFILE, ENOMEM, EDQUOT};

template <typename Work>
void for_each_operation(Work work) {
  for (const Operation& operation : operations()) {
    FaultLoop loop(operation);
    work(loop);
  }
}

TEST_SUITE("faults") {
  TEST_CASE("whatever system call fails the store is as before or as after") {
    for_each_operation([](FaultLoop& loop) {
      long first = -3;
      const long step = all() ? 1 : 4 * std::ssize(kErrors);
      for (const int error : kErrors) {
        loop.fail_calls(error, false, {.first = all() ? 1 : first += 4, .step = step});
      }
    });
  }

  TEST_CASE("a call that was interrupted is made again") {
    for_each_operation(
        [](FaultLoop& loop) { loop.fail_calls(EINTR, false, {.step = all() ? 1 : 6}); });
  }

  TEST_CASE("a disk that fails for good leaves a store that can be opened when it is back") {
    for_each_operation(
        [](FaultLoop& loop) { loop.fail_calls(EIO, true, {.step = all() ? 1 : 11}); });
  }

  TEST_CASE("wherever the process is killed the store is as before or as after") {
    for_each_operation([](FaultLoop& loop) { loop.kill({.step = all() ? 1 : 8}); });
  }

  TEST_CASE("whatever allocation fails the store is as before or as after") {
    for_each_operation([](FaultLoop& loop) { loop.fail_allocations({.step = all() ? 1 : 17}); });
  }
}

}  // namespace
}  // namespace overlayd::test
