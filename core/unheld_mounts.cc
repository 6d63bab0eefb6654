// SPDX-License-Identifier: Apache-2.0
#include "core/unheld_mounts.h"

#include <utility>
#include <vector>

#include "core/sys.h"

namespace overlayd {
namespace {

constexpr std::chrono::milliseconds kMoment{25};

/// More do not wait for their time.
constexpr size_t kMaxWaiting = 32;

}  // namespace

UnheldMounts::UnheldMounts(std::function<void(Layer&)> take_down)
    : take_down_(std::move(take_down)) {
  thread_ = sys::starting_thread(
      [this] { return std::jthread([this](const std::stop_token& stop) { run(stop); }); });
}

UnheldMounts::~UnheldMounts() = default;

void UnheldMounts::add(std::shared_ptr<Layer> layer) {
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(waiting_, [&](const Waiting& waiting) { return waiting.layer == layer; });
    waiting_.push_back({std::move(layer), std::chrono::steady_clock::now() + kMoment});
    if (waiting_.size() > 1 && waiting_.size() <= kMaxWaiting) return;  // it wakes up anyway
  }
  wake_.notify_one();
}

// They stay among those that wait; when their time comes, they are not leaving any more.
void UnheldMounts::hurry(const std::function<bool(const Layer&)>& concerns) {
  std::vector<std::shared_ptr<Layer>> hurried;
  {
    const std::lock_guard lock(mutex_);
    for (const Waiting& waiting : waiting_) {
      if (concerns(*waiting.layer)) hurried.push_back(waiting.layer);
    }
    if (in_work_ && concerns(*in_work_)) hurried.push_back(in_work_);
  }
  for (const std::shared_ptr<Layer>& layer : hurried) take_down(*layer);
}

// Told to stop, it waits no longer, and ends when nothing is left.
void UnheldMounts::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, stop, [this] { return !waiting_.empty(); });
    if (waiting_.empty()) return;
    const auto due = waiting_.front().due;
    const auto are_many = [this] { return waiting_.size() > kMaxWaiting; };
    if (!are_many() && !stop.stop_requested() && std::chrono::steady_clock::now() < due) {
      wake_.wait_until(lock, stop, due, are_many);
      continue;  // another may be the first by now
    }
    in_work_ = std::move(waiting_.front().layer);
    waiting_.pop_front();
    lock.unlock();
    take_down(*in_work_);
    lock.lock();
    in_work_.reset();
  }
}

void UnheldMounts::take_down(Layer& layer) const {
  const std::lock_guard lock(layer.mutex);
  if (layer.leaving) take_down_(layer);
}

}  // namespace overlayd
