// SPDX-License-Identifier: Apache-2.0
#include "core/thread_behind.h"

#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include "core/sys.h"

namespace overlayd {

struct ThreadBehind::Impl {
  enum class What { IsDone, IsDropped };

  ~Impl() { stop(What::IsDropped); }

  void leave(std::function<void()> job);
  void stop(What what_waits);
  void run_all();

  mutable std::mutex mutex;
  std::condition_variable changed;
  std::function<void()> waiting;
  bool stopping = false;
  std::exception_ptr error;

  std::thread thread;
};

void ThreadBehind::Impl::leave(std::function<void()> job) {
  if (!thread.joinable()) {
    thread = sys::starting_thread([this] { return std::thread([this] { run_all(); }); });
  }
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return !waiting; });
    waiting = std::move(job);
  }
  changed.notify_all();
}

// Afterwards there is no thread.
void ThreadBehind::Impl::stop(What what_waits) {
  if (!thread.joinable()) return;
  std::function<void()> dropped;
  {
    const std::lock_guard lock(mutex);
    if (what_waits == What::IsDropped) waiting.swap(dropped);
    stopping = true;
  }
  changed.notify_all();
  thread.join();
}

void ThreadBehind::Impl::run_all() {
  for (;;) {
    std::function<void()> job;
    bool is_wanted = false;
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return waiting || stopping; });
      if (!waiting) return;
      waiting.swap(job);
      is_wanted = !error;
    }
    changed.notify_all();
    try {
      if (is_wanted) job();
    } catch (...) {
      const std::lock_guard lock(mutex);
      error = std::current_exception();
    }
  }
}

ThreadBehind::ThreadBehind() : impl_(std::make_unique<Impl>()) {}
ThreadBehind::~ThreadBehind() = default;

void ThreadBehind::leave(std::function<void()> job) { impl_->leave(std::move(job)); }

bool ThreadBehind::has_failed() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->error != nullptr;
}

void ThreadBehind::finish() {
  impl_->stop(Impl::What::IsDone);
  if (impl_->error) std::rethrow_exception(impl_->error);
}

}  // namespace overlayd
