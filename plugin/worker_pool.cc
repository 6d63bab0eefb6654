// SPDX-License-Identifier: Apache-2.0
#include "plugin/worker_pool.h"

#include <chrono>
#include <system_error>
#include <utility>

namespace overlayd {
namespace {

// Long enough to serve the next burst of an image pull, short enough to give the stacks back.
constexpr std::chrono::seconds kIdleTime{30};

}  // namespace

void WorkerPool::submit(std::function<void()> job) {
  Threads ended;
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
    if (jobs_.size() > idle_ && threads_.size() < max_threads_) spawn_locked();
    ended.swap(ended_);
  }
  work_.notify_one();
  reap(std::move(ended));
}

void WorkerPool::spawn_locked() {
  const auto self = threads_.emplace(threads_.end());
  try {
    *self = std::thread([this, self] { run(self); });
  } catch (const std::system_error&) {
    // No thread to be had just now: the job waits for one that is running, if there is any.
    threads_.erase(self);
    if (!threads_.empty()) return;
    jobs_.pop_back();
    throw;
  }
}

void WorkerPool::run(Threads::iterator self) {
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    const bool more = work_.wait_for(lock, kIdleTime, [&] { return joining_ || !jobs_.empty(); });
    --idle_;
    if (!more || jobs_.empty()) break;
    auto job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
    job = nullptr;
    lock.lock();
  }
  ended_.splice(ended_.end(), threads_, self);
  gone_.notify_all();
}

void WorkerPool::reap(Threads ended) {
  for (std::thread& thread : ended) thread.join();
}

void WorkerPool::join() {
  Threads ended;
  {
    std::unique_lock lock(mutex_);
    joining_ = true;
    work_.notify_all();
    gone_.wait(lock, [&] { return threads_.empty(); });
    ended.swap(ended_);
    joining_ = false;
  }
  reap(std::move(ended));
}

}  // namespace overlayd
