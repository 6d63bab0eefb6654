// SPDX-License-Identifier: Apache-2.0
//
// ThreadBehind: a thread that does, one after another, what its user leaves for later. It starts
// with the first job, so that little work costs no thread. One thread uses an object.
#pragma once

#include <functional>
#include <memory>

namespace overlayd {

class ThreadBehind {
 public:
  ThreadBehind();
  /// Waits for the job that runs; one that waits is dropped.
  ~ThreadBehind();
  ThreadBehind(const ThreadBehind&) = delete;
  ThreadBehind& operator=(const ThreadBehind&) = delete;

  /// Leaves a job for the thread, which has the rights of the one that calls first. Returns while
  /// it waits for the one before it, not earlier. When a job has thrown, those behind it are
  /// dropped.
  void leave(std::function<void()> job);

  bool has_failed() const;

  /// Waits for all jobs, to be called once, as the last. Throws what a job threw.
  void finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace overlayd
