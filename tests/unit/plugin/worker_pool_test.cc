// SPDX-License-Identifier: Apache-2.0
#include "plugin/worker_pool.h"

#include <atomic>
#include <latch>

#include <doctest/doctest.h>

namespace overlayd {
namespace {

TEST_SUITE("worker_pool") {
  TEST_CASE("jobs do not wait for one another") {
    WorkerPool pool(16);
    std::latch all(16);  // opens only when all sixteen run at once
    for (int i = 0; i < 16; ++i) pool.submit([&] { all.arrive_and_wait(); });
    pool.join();
    CHECK(all.try_wait());
  }

  TEST_CASE("past the limit jobs wait their turn") {
    WorkerPool pool(2);
    std::latch release(1);
    std::atomic<int> running = 0;
    std::atomic<int> most = 0;
    std::atomic<int> done = 0;
    for (int i = 0; i < 10; ++i) {
      pool.submit([&] {
        most = std::max(most.load(), ++running);
        release.wait();
        --running;
        ++done;
      });
    }
    release.count_down();
    pool.join();
    CHECK(done == 10);
    CHECK(most <= 2);
  }

  TEST_CASE("a pool can be used again after a join") {
    WorkerPool pool(4);
    std::atomic<int> done = 0;
    for (int round = 0; round < 3; ++round) {
      for (int i = 0; i < 100; ++i) pool.submit([&] { ++done; });
      pool.join();
    }
    CHECK(done == 300);
  }
}

}  // namespace
}  // namespace overlayd
