// SPDX-License-Identifier: Apache-2.0
#include "core/mount_drain.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <vector>

#include <doctest/doctest.h>

namespace overlayd {
namespace {

/// Something that shows from outside whether it is still open.
struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    reader = UniqueFd(ends[0]);
    writer = UniqueFd(ends[1]);
  }
  bool closed() const {
    pollfd end{.fd = reader.get(), .events = POLLIN, .revents = 0};
    return ::poll(&end, 1, 0) == 1 && (end.revents & POLLHUP) != 0;
  }
  UniqueFd reader, writer;
};

LayerId id(size_t number) { return LayerId::parse(std::to_string(number)); }

TEST_SUITE("mount_drain") {
  TEST_CASE("whoever waits for a layer finds it closed") {
    MountDrain drain;
    std::vector<Pipe> pipes(100);
    for (size_t i = 0; i < 100; ++i) drain.take(id(i % 10), std::move(pipes[i].writer));
    drain.wait_for([](const LayerId& layer) { return layer == id(3); });
    for (size_t i = 3; i < 100; i += 10) CHECK(pipes[i].closed());
    drain.wait_for([](const LayerId&) { return true; });
    for (const Pipe& pipe : pipes) CHECK(pipe.closed());
  }

  TEST_CASE("nothing is left open behind it") {
    std::vector<Pipe> pipes(20);
    {
      MountDrain drain;
      for (Pipe& pipe : pipes) drain.take(id(1), std::move(pipe.writer));
    }
    for (const Pipe& pipe : pipes) CHECK(pipe.closed());
  }
}

}  // namespace
}  // namespace overlayd
