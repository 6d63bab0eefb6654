// SPDX-License-Identifier: Apache-2.0
//
// WorkerPool: threads that come with the work and go when there is none. A job never waits for
// another one while there are fewer than the limit under way, so a connection that streams for
// minutes delays nobody.
//
// Threads: every method may be called from any thread, except from a job.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <thread>

namespace overlayd {

class WorkerPool {
 public:
  explicit WorkerPool(size_t max_threads) : max_threads_(max_threads) {}
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;
  ~WorkerPool() { join(); }

  /// Runs `job`, which must not throw, on an idle thread or a new one; past the limit it waits its
  /// turn. Throws std::system_error when there is no thread and none can be made; the job is then
  /// dropped.
  void submit(std::function<void()> job);

  /// Waits for all jobs submitted so far to end and ends all threads.
  void join();

 private:
  using Threads = std::list<std::thread>;

  void spawn_locked();
  void run(Threads::iterator self);
  void reap(Threads ended);

  const size_t max_threads_;
  std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable gone_;
  std::deque<std::function<void()>> jobs_;
  Threads threads_;
  Threads ended_;  ///< returned or about to; to be joined
  size_t idle_ = 0;
  bool joining_ = false;
};

}  // namespace overlayd
