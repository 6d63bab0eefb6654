// SPDX-License-Identifier: Apache-2.0
#include "core/mount_drain.h"

#include <algorithm>
#include <chrono>

#include "core/sys.h"

namespace overlayd {
namespace {

/// Bounds what one write-back after another keeps waiting, and the descriptors.
constexpr size_t kMaxWaiting = 32;

/// How long a file system waits for others, if nobody waits for it: the first of them writes back
/// what all have, so they share a commit of the journal.
constexpr std::chrono::milliseconds kForCompany{25};

}  // namespace

MountDrain::MountDrain()
    : thread_(sys::starting_thread(
          [this] { return std::jthread([this](const std::stop_token& stop) { run(stop); }); })) {}

MountDrain::~MountDrain() = default;

void MountDrain::take(const LayerId& id, UniqueFd root) {
  std::unique_lock lock(mutex_);
  done_.wait(lock, [this] { return roots_.size() < kMaxWaiting; });
  roots_.emplace_back(id, std::move(root));
  lock.unlock();
  work_.notify_one();
}

void MountDrain::wait_for(const std::function<bool(const LayerId&)>& concerns) {
  std::unique_lock lock(mutex_);
  const auto gone = [&] {
    return std::none_of(roots_.begin(), roots_.end(),
                        [&](const auto& root) { return concerns(root.first); });
  };
  if (gone()) return;
  ++hurried_;
  work_.notify_one();
  done_.wait(lock, gone);
  --hurried_;
}

// Told to stop, it ends when nothing is left.
void MountDrain::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  for (;;) {
    work_.wait(lock, stop, [this] { return !roots_.empty(); });
    if (roots_.empty()) return;
    work_.wait_for(lock, stop, kForCompany,
                   [this] { return hurried_ > 0 || roots_.size() >= kMaxWaiting / 2; });
    while (!roots_.empty()) close_first(lock);
  }
}

// It stays in the list until it is closed.
void MountDrain::close_first(std::unique_lock<std::mutex>& lock) {
  UniqueFd root = std::move(roots_.front().second);
  lock.unlock();
  root.reset();
  lock.lock();
  roots_.pop_front();
  done_.notify_all();
}

}  // namespace overlayd
