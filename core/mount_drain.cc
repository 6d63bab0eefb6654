// SPDX-License-Identifier: Apache-2.0
#include "core/mount_drain.h"

#include <algorithm>

namespace overlayd {
namespace {

/// Bounds what one write-back after another keeps waiting, and the descriptors.
constexpr size_t kMaxWaiting = 32;

}  // namespace

MountDrain::MountDrain() : thread_([this](const std::stop_token& stop) { run(stop); }) {}

MountDrain::~MountDrain() { thread_.request_stop(); }

void MountDrain::take(const LayerId& id, UniqueFd root) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return roots_.size() < kMaxWaiting; });
  roots_.emplace_back(id, std::move(root));
  lock.unlock();
  changed_.notify_all();
}

void MountDrain::wait_for(const std::function<bool(const LayerId&)>& concerns) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] {
    return std::none_of(roots_.begin(), roots_.end(),
                        [&](const auto& root) { return concerns(root.first); });
  });
}

// Told to stop, it ends when nothing is left.
void MountDrain::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, stop, [this] { return !roots_.empty(); });
    if (roots_.empty()) return;
    UniqueFd root = std::move(roots_.front().second);
    lock.unlock();
    root.reset();
    lock.lock();
    roots_.pop_front();
    changed_.notify_all();
  }
}

}  // namespace overlayd
