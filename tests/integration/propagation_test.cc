// SPDX-License-Identifier: Apache-2.0
#include "plugin/propagation.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include <doctest/doctest.h>

#include "tests/support/root_sandbox.h"

namespace overlayd {
namespace {

// A process that does nothing, in this mount namespace or in a copy of it.
class Bystander {
 public:
  explicit Bystander(bool own_namespace) {
    int ready[2];
    REQUIRE(::pipe(ready) == 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      if (own_namespace && ::unshare(CLONE_NEWNS) != 0) ::_exit(1);
      ::close(ready[0]);
      ::close(ready[1]);
      while (true) ::pause();
    }
    ::close(ready[1]);
    char none = 0;
    CHECK(::read(ready[0], &none, 1) == 0);  // returns once the other end is closed
    ::close(ready[0]);
  }
  ~Bystander() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Bystander(const Bystander&) = delete;
  Bystander& operator=(const Bystander&) = delete;

 private:
  pid_t pid_ = -1;
};

void set_propagation(const std::string& path, unsigned long type) {
  REQUIRE(::mount(nullptr, path.c_str(), nullptr, type, nullptr) == 0);
}

TEST_SUITE("propagation") {
  TEST_CASE("a shared mount reaches others only if another process has it") {
    const test::RootSandbox sandbox;
    const std::string home = sandbox.path() + "/not/made/yet";
    set_propagation(sandbox.path(), MS_SHARED);
    CHECK_FALSE(mounts_reach_others(home));
    {
      const Bystander same_namespace(false);
      CHECK(mounts_reach_others(home));
    }
    {
      const Bystander peer(true);
      CHECK(mounts_reach_others(home));
    }
    CHECK_FALSE(mounts_reach_others(home));
  }

  TEST_CASE("a private mount is not judged") {
    const test::RootSandbox sandbox;
    set_propagation(sandbox.path(), MS_PRIVATE);
    CHECK(mounts_reach_others(sandbox.path()));
  }
}

}  // namespace
}  // namespace overlayd
