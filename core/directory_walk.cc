// SPDX-License-Identifier: Apache-2.0
#include "core/directory_walk.h"

#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace overlayd {
namespace {

// Starting a thread takes as long as visiting ten directories or so.
constexpr size_t kAloneUpTo = 64;

using Entry = MergedDir::Entry;
using DirectoryPtr = std::shared_ptr<const MergedDir>;

// A directory still to be visited: `name` in `above`, or without one `above` itself.
struct Step {
  DirectoryPtr above;
  std::optional<Entry> name;
  size_t depth = 0;
  std::string prefix = {};
};

class Walk {
 public:
  explicit Walk(const std::function<void(const VisitedDirectory&)>& visit) : visit_(visit) {}

  void run(const MergedDir& root) {
    // The caller keeps it while the walk runs.
    steps_.push_back({DirectoryPtr(std::shared_ptr<const void>(), &root), std::nullopt});
    work(0);
    if (helper_.joinable()) helper_.join();
    if (error_) std::rethrow_exception(error_);
  }

 private:
  // Both threads; the caller's has number 0.
  void work(size_t thread) {
    std::unique_lock lock(mutex_);
    while (std::optional<Step> step = next(lock)) {
      ++under_way_;
      lock.unlock();
      std::exception_ptr failure;
      try {
        take(*std::move(step), thread);
      } catch (...) {
        failure = std::current_exception();
      }
      lock.lock();
      --under_way_;
      if (failure) {
        steps_.clear();
        if (!error_) error_ = failure;
      }
    }
    changed_.notify_all();
  }

  // The last one, so that few directories are open.
  std::optional<Step> next(std::unique_lock<std::mutex>& lock) {
    ++waiting_;
    changed_.wait(lock, [&] { return !steps_.empty() || under_way_ == 0; });
    --waiting_;
    if (steps_.empty()) return std::nullopt;
    Step step = std::move(steps_.back());
    steps_.pop_back();
    if (++visited_ == kAloneUpTo) start_helper();
    return step;
  }

  void take(Step step, size_t thread) {
    const DirectoryPtr directory =
        step.name ? std::make_shared<const MergedDir>(step.above->open(*step.name))
                  : std::move(step.above);
    step.above.reset();
    const std::vector<Entry> list = directory->list(sys::Order::AsStored);
    visit_({thread, step.depth, step.prefix, list});
    std::vector<Step> found;
    for (const Entry& entry : list) {
      if (!entry.is_directory()) continue;
      found.push_back({directory, entry, step.depth + 1, step.prefix + entry.name() + "/"});
    }
    if (!found.empty()) add(std::move(found));
  }

  void add(std::vector<Step> found) {
    const std::lock_guard lock(mutex_);
    if (error_) return;
    for (Step& step : found) steps_.push_back(std::move(step));
    // Whoever adds takes the last one.
    if (waiting_ > 0 && steps_.size() > 1) changed_.notify_all();
  }

  // Without it the walk only takes longer.
  void start_helper() noexcept {
    try {
      helper_ = std::thread([this] { work(1); });
    } catch (const std::exception&) {
    }
  }

  const std::function<void(const VisitedDirectory&)>& visit_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Step> steps_;
  size_t visited_ = 0;
  size_t under_way_ = 0;
  size_t waiting_ = 0;
  std::exception_ptr error_;

  std::thread helper_;
};

}  // namespace

void walk_directories(const MergedDir& root,
                      const std::function<void(const VisitedDirectory&)>& visit) {
  Walk(visit).run(root);
}

}  // namespace overlayd
