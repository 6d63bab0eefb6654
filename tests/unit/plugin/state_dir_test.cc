// SPDX-License-Identifier: Apache-2.0
#include "plugin/state_dir.h"

#include <sys/stat.h>

#include <doctest/doctest.h>

#include "core/error.h"
#include "tests/support/temp_dir.h"

namespace overlayd {
namespace {

mode_t mode_of(const std::filesystem::path& path) {
  struct stat found {};
  ::stat(path.c_str(), &found);
  return found.st_mode & 07777;
}

TEST_SUITE("state_dir") {
  TEST_CASE("a missing directory is made for the owner alone") {
    const test::TempDir scratch;
    const StateDir state(scratch / "a/b/state");
    CHECK(mode_of(scratch / "a/b/state") == 0700);
    CHECK(mode_of(scratch / "a/b") == 0755);
  }

  TEST_CASE("a second user of the directory is refused until the first is gone") {
    const test::TempDir scratch;
    {
      const StateDir first(scratch / "state");
      CHECK_THROWS_AS(StateDir(scratch / "state"), Error);
    }
    CHECK_NOTHROW(StateDir(scratch / "state"));
  }

  TEST_CASE("what was written last is read back by the next process") {
    const test::TempDir scratch;
    {
      StateDir state(scratch / "state");
      CHECK_FALSE(state.read_init().has_value());
      state.write_init("one, which is longer");
      state.write_init("two");
    }
    CHECK(StateDir(scratch / "state").read_init() == "two");
    CHECK(mode_of(scratch / "state/init.json") == 0600);
  }
}

}  // namespace
}  // namespace overlayd
