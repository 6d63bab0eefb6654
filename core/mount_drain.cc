// SPDX-License-Identifier: Apache-2.0
#include "core/mount_drain.h"

#include <algorithm>

namespace overlayd {
namespace {

/// Bounds what one write-back after another keeps waiting, and the descriptors.
constexpr size_t kMaxWaiting = 32;

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
  done_.wait(lock, [&] {
    return std::none_of(waiting_.begin(), waiting_.end(),
                        [&](const auto& entry) { return concerns(entry.first); }) &&
           std::none_of(closing_.begin(), closing_.end(), concerns);
  });
}

// Told to stop, it ends when nothing is left.
void MountDrain::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  for (;;) {
    work_.wait(lock, stop, [this] { return !waiting_.empty(); });
    if (waiting_.empty()) return;
    auto [id, root] = std::move(waiting_.front());
    waiting_.pop_front();
    closing_.push_back(id);
    lock.unlock();
    root.reset();
    lock.lock();
    closing_.erase(std::find(closing_.begin(), closing_.end(), id));
    done_.notify_all();
  }
}

}  // namespace overlayd
