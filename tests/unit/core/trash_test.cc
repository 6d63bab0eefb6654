// SPDX-License-Identifier: Apache-2.0
#include "core/trash.h"

#include <string>
#include <thread>

#include <doctest/doctest.h>

#include "core/sys.h"
#include "tests/support/eventually.h"
#include "tests/support/temp_dir.h"

namespace overlayd::test {
namespace {

struct TrashSandbox {
  TrashSandbox() { REQUIRE(sys::mkdirat(dir.fd(), "trash", 0700)); }

  UniqueFd directory() const { return sys::open_path_dir(dir.fd(), "trash"); }

  void make_layer() const {
    REQUIRE(sys::mkdirat(dir.fd(), "layer", 0700));
    for (int i = 0; i < 500; ++i) dir.write("layer/" + std::to_string(i), "x");
  }

  TempDir dir;
  NullObserver observer;
};

/// As long as it lives calls come, close to each other.
class Calls {
 public:
  explicit Calls(Trash& trash)
      : thread_([&trash](const std::stop_token& stop) {
          while (!stop.stop_requested()) trash.make_way();
        }) {}

 private:
  std::jthread thread_;
};

TEST_SUITE("trash") {
  TEST_CASE_FIXTURE(TrashSandbox, "what is taken is gone at once, and its space later") {
    make_layer();
    Trash trash(directory(), observer);
    CHECK(trash.take(dir.fd(), "layer"));
    CHECK(!sys::try_fstatat(dir.fd(), "layer"));
    CHECK(!trash.take(dir.fd(), "layer"));
    CHECK(eventually([&] { return trash.waiting() == 0; }));
  }

  TEST_CASE_FIXTURE(TrashSandbox, "space comes back though calls never end") {
    make_layer();
    Trash trash(directory(), observer);
    const Calls calls(trash);
    CHECK(trash.take(dir.fd(), "layer"));
    CHECK(eventually([&] { return trash.waiting() == 0; }));
  }

  TEST_CASE_FIXTURE(TrashSandbox, "a stop while it waits leaves the rest to the next start") {
    make_layer();
    {
      Trash trash(directory(), observer);
      const Calls calls(trash);
      CHECK(trash.take(dir.fd(), "layer"));
    }
    CHECK(!sys::try_fstatat(dir.fd(), "layer"));
    const Trash next(directory(), observer);
    CHECK(eventually([&] { return next.waiting() == 0; }));
  }
}

}  // namespace
}  // namespace overlayd::test
