// SPDX-License-Identifier: Apache-2.0
#include "core/unique_fd.h"

#include <fcntl.h>

#include <cerrno>
#include <type_traits>
#include <utility>

#include <doctest/doctest.h>

#include "tests/support/root_sandbox.h"

namespace overlayd {
namespace {

using test::is_open;

static_assert(!std::is_copy_constructible_v<UniqueFd>);
static_assert(std::is_nothrow_move_constructible_v<UniqueFd>);

int open_null() {
  const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  REQUIRE(fd >= 0);
  return fd;
}

TEST_SUITE("unique fd") {
  TEST_CASE("an owner closes what it owns at its end") {
    const int fd = open_null();
    {
      const UniqueFd owner(fd);
      CHECK(owner);
      CHECK(owner.get() == fd);
    }
    CHECK_FALSE(is_open(fd));
    CHECK_FALSE(UniqueFd());
  }

  TEST_CASE("moving passes ownership and closes what was held before") {
    const int first = open_null(), second = open_null();
    UniqueFd a(first), b(second);
    a = std::move(b);
    CHECK_FALSE(is_open(first));
    CHECK(a.get() == second);
    const UniqueFd c(std::move(a));
    CHECK(is_open(second));
    CHECK(c.get() == second);
  }

  TEST_CASE("moving to itself keeps the descriptor") {
    UniqueFd owner(open_null());
    UniqueFd& alias = owner;
    owner = std::move(alias);
    REQUIRE(owner);
    CHECK(is_open(owner.get()));
  }

  TEST_CASE("a released descriptor stays open") {
    UniqueFd owner(open_null());
    const UniqueFd next(owner.release());
    CHECK_FALSE(owner);
    CHECK(is_open(next.get()));
  }

  TEST_CASE("resetting to the same descriptor does not close it") {
    UniqueFd owner(open_null());
    owner.reset(owner.get());
    CHECK(is_open(owner.get()));
  }

  TEST_CASE("closing leaves errno alone") {
    UniqueFd bad(1 << 20);  // not open: close fails with EBADF
    errno = ENOSPC;
    bad.reset();
    CHECK(errno == ENOSPC);
  }
}

}  // namespace
}  // namespace overlayd
