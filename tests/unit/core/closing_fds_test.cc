// SPDX-License-Identifier: Apache-2.0
#include "core/closing_fds.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "core/sys.h"
#include "tests/support/root_sandbox.h"

namespace overlayd {
namespace {

using test::is_open;

std::vector<UniqueFd> open_nulls(size_t count) {
  std::vector<UniqueFd> fds;
  while (fds.size() < count) fds.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  REQUIRE(fds.back());
  return fds;
}

std::vector<int> add_all(ClosingFds& closing, std::vector<UniqueFd> fds) {
  std::vector<int> numbers;
  for (UniqueFd& fd : fds) {
    numbers.push_back(fd.get());
    closing.add(std::move(fd));
  }
  return numbers;
}

// Of the calling thread, for good.
void refuse_close_range() {
  std::array<sock_filter, 4> program = {{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog filter = {.len = program.size(), .filter = program.data()};
  REQUIRE(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  REQUIRE(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) == 0);
}

TEST_SUITE("closing fds") {
  TEST_CASE("whatever is left is closed at the end, and nobody else's") {
    std::vector<UniqueFd> fds = open_nulls(9);
    std::ranges::reverse(fds);
    const UniqueFd others = std::move(fds[4]);
    fds.erase(fds.begin() + 4);
    std::vector<int> numbers;
    {
      ClosingFds closing;
      numbers = add_all(closing, std::move(fds));
      CHECK(std::ranges::all_of(numbers, is_open));
    }
    CHECK(std::ranges::none_of(numbers, is_open));
    CHECK(is_open(others.get()));
  }

  TEST_CASE("no more are kept open than are said") {
    ClosingFds closing;
    const std::vector<int> numbers = add_all(closing, open_nulls(ClosingFds::kMax - 1));
    CHECK(std::ranges::all_of(numbers, is_open));
    const std::vector<int> last = add_all(closing, open_nulls(1));
    CHECK(std::ranges::none_of(numbers, is_open));
    CHECK(std::ranges::none_of(last, is_open));
  }

  TEST_CASE("a kernel without close_range closes them one by one") {
    sys::run_in_own_thread([] {
      refuse_close_range();
      ClosingFds closing;
      const std::vector<int> numbers = add_all(closing, open_nulls(3));
      closing.close();
      CHECK(std::ranges::none_of(numbers, is_open));
    });
  }

  TEST_CASE("closing leaves errno alone") {
    ClosingFds closing;
    closing.add(UniqueFd(1 << 20));  // not open: close fails with EBADF
    errno = ENOSPC;
    closing.close();
    CHECK(errno == ENOSPC);
  }
}

}  // namespace
}  // namespace overlayd
