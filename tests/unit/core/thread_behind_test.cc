// SPDX-License-Identifier: Apache-2.0
#include "core/thread_behind.h"

#include <atomic>
#include <latch>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

namespace overlayd {
namespace {

/// Fails with the first of the jobs that shall, and does the others.
std::vector<int> done_of(int jobs, int failing, bool& threw) {
  std::vector<int> done;
  ThreadBehind thread;
  for (int i = 0; i < jobs; ++i) {
    thread.leave([&done, i, failing] {
      if (i >= failing) throw std::runtime_error("job " + std::to_string(i));
      done.push_back(i);
    });
  }
  try {
    thread.finish();
    threw = false;
  } catch (const std::runtime_error& error) {
    threw = error.what() == "job " + std::to_string(failing);
  }
  return done;
}

TEST_SUITE("thread behind") {
  TEST_CASE("jobs are done in order, in one other thread") {
    std::vector<std::thread::id> threads;
    ThreadBehind thread;
    for (int i = 0; i < 100; ++i) {
      thread.leave([&] { threads.push_back(std::this_thread::get_id()); });
    }
    thread.finish();
    CHECK(threads == std::vector<std::thread::id>(100, threads.at(0)));
    CHECK(threads[0] != std::this_thread::get_id());
    bool threw = true;
    CHECK(done_of(5, 5, threw) == std::vector<int>{0, 1, 2, 3, 4});
    CHECK(!threw);
  }

  TEST_CASE("nothing to do is no error") {
    ThreadBehind thread;
    thread.finish();
    CHECK(!thread.has_failed());
  }

  TEST_CASE("the first error counts, and nothing is done behind it") {
    for (const int failing : {0, 1, 50, 99}) {
      bool threw = false;
      CHECK(done_of(100, failing, threw).size() == static_cast<size_t>(failing));
      CHECK(threw);
    }
  }

  TEST_CASE("a failure shows before the end") {
    ThreadBehind thread;
    thread.leave([] { throw std::runtime_error("no"); });
    thread.leave([] {});
    thread.leave([] {});  // returns when the one before it is taken: the first is over
    CHECK(thread.has_failed());
    CHECK_THROWS_AS(thread.finish(), std::runtime_error);
  }

  TEST_CASE("what runs when nobody wants it any more is waited for, and no job is kept") {
    std::latch started(1), go_on(1);
    std::atomic<int> done = 0;
    std::thread later;
    auto kept = std::make_shared<int>();
    const std::weak_ptr<int> waiting = kept;
    {
      ThreadBehind thread;
      thread.leave([&] {
        started.count_down();
        go_on.wait();
        ++done;
      });
      started.wait();
      thread.leave([kept = std::exchange(kept, nullptr)] {});
      later = std::thread([&] { go_on.count_down(); });
    }
    later.join();
    CHECK(done == 1);
    CHECK(waiting.expired());
  }
}

}  // namespace
}  // namespace overlayd
