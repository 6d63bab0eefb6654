// SPDX-License-Identifier: Apache-2.0
#include "core/mount_drain.h"

#include <algorithm>
#include <chrono>

namespace overlayd {
namespace {

/// Bounds what one write-back after another keeps waiting, and the descriptors.
constexpr size_t kMaxWaiting = 32;

/// How long a file system waits for others to be written back with, if nobody waits for it.
constexpr std::chrono::milliseconds kForCompany{50};

}  // namespace

MountDrain::MountDrain() {
  for (std::jthread& thread : threads_) {
    thread = std::jthread([this](const std::stop_token& stop) { run(stop); });
  }
}

MountDrain::~MountDrain() = default;

void MountDrain::take(const LayerId& id, UniqueFd root) {
  std::unique_lock lock(mutex_);
  done_.wait(lock, [this] { return waiting_.size() < kMaxWaiting; });
  waiting_.emplace_back(id, std::move(root));
  lock.unlock();
  work_.notify_one();
}

void MountDrain::wait_for(const std::function<bool(const LayerId&)>& concerns) {
  std::unique_lock lock(mutex_);
  const auto gone = [&] {
    return std::none_of(waiting_.begin(), waiting_.end(),
                        [&](const auto& entry) { return concerns(entry.first); }) &&
           std::none_of(closing_.begin(), closing_.end(), concerns);
  };
  if (gone()) return;
  ++hurried_;
  work_.notify_all();
  done_.wait(lock, gone);
  --hurried_;
}

// Told to stop, it ends when nothing is left.
void MountDrain::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  for (;;) {
    work_.wait(lock, stop, [this] { return !waiting_.empty(); });
    if (waiting_.empty()) return;
    work_.wait_for(lock, stop, kForCompany,
                   [this] { return hurried_ > 0 || waiting_.size() >= kMaxWaiting / 2; });
    while (!waiting_.empty()) close_one(lock);
  }
}

void MountDrain::close_one(std::unique_lock<std::mutex>& lock) {
  auto [id, root] = std::move(waiting_.front());
  waiting_.pop_front();
  closing_.push_back(id);
  lock.unlock();
  root.reset();
  lock.lock();
  closing_.erase(std::find(closing_.begin(), closing_.end(), id));
  done_.notify_all();
}

}  // namespace overlayd
