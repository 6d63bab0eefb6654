// SPDX-License-Identifier: Apache-2.0
#include "core/directory_walk.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <iterator>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

namespace overlayd {
namespace {

// Starting a thread takes as long as visiting ten directories or so.
constexpr size_t kAloneUpTo = 64;

// The calling thread is the one before it.
constexpr size_t kHelper = 1;

using Entry = MergedDir::Entry;

// A directory still to be visited: `name` in `above`, or without one `above` itself.
struct Step {
  std::shared_ptr<const MergedDir> above;
  std::optional<Entry> name;
  std::string prefix;
  size_t depth = 0;
};

std::vector<Step> steps_into(const std::shared_ptr<const MergedDir>& above,
                             const std::vector<Entry>& list, const std::string& prefix,
                             size_t depth) {
  std::vector<Step> steps;
  for (const Entry& entry : list) {
    if (entry.is_directory()) steps.push_back({above, entry, prefix + entry.name() + "/", depth});
  }
  return steps;
}

// The caller keeps it while the walk runs.
std::shared_ptr<const MergedDir> borrowed(const MergedDir& directory) {
  return {std::shared_ptr<const void>(), &directory};
}

}  // namespace

struct DirectoryWalk::Impl {
  explicit Impl(Visit the_visit) : visit(std::move(the_visit)) {}
  ~Impl();

  void run(std::vector<Step> first);
  void work(size_t thread_number);
  std::optional<Step> next(std::unique_lock<std::mutex>& lock, size_t thread_number);
  void take(Step step, size_t thread_number);
  void add(std::vector<Step> found);
  void start_helper() noexcept;

  const Visit visit;

  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Step> steps;  // the last one is next, so that few directories are open
  size_t visited = 0;
  size_t under_way = 0;
  size_t waiting = 0;
  bool closing = false;
  std::exception_ptr error;

  std::thread helper;
};

DirectoryWalk::Impl::~Impl() {
  if (!helper.joinable()) return;
  {
    const std::lock_guard lock(mutex);
    closing = true;
  }
  changed.notify_all();
  helper.join();
}

void DirectoryWalk::Impl::run(std::vector<Step> first) {
  add(std::move(first));
  work(0);
  if (error) std::rethrow_exception(error);
}

// The helper works until the walk is destroyed, the caller until nothing is left.
void DirectoryWalk::Impl::work(size_t thread_number) {
  std::unique_lock lock(mutex);
  while (std::optional<Step> step = next(lock, thread_number)) {
    ++under_way;
    lock.unlock();
    std::exception_ptr failure;
    try {
      take(*std::move(step), thread_number);
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    --under_way;
    if (failure) {
      steps.clear();
      if (!error) error = failure;
    }
  }
}

std::optional<Step> DirectoryWalk::Impl::next(std::unique_lock<std::mutex>& lock,
                                              size_t thread_number) {
  const auto is_over = [&] {
    return thread_number == kHelper ? closing : steps.empty() && under_way == 0;
  };
  if (steps.empty() && under_way == 0) changed.notify_all();
  ++waiting;
  changed.wait(lock, [&] { return !steps.empty() || is_over(); });
  --waiting;
  if (is_over()) return std::nullopt;
  Step step = std::move(steps.back());
  steps.pop_back();
  if (++visited == kAloneUpTo) start_helper();
  return step;
}

void DirectoryWalk::Impl::take(Step step, size_t thread_number) {
  const auto directory = step.name ? std::make_shared<const MergedDir>(step.above->open(*step.name))
                                   : std::move(step.above);
  step.above.reset();
  const std::vector<Entry> list = directory->list(sys::Order::AsStored);
  visit({thread_number, step.prefix, step.depth, list});
  if (auto found = steps_into(directory, list, step.prefix, step.depth + 1); !found.empty()) {
    add(std::move(found));
  }
}

void DirectoryWalk::Impl::add(std::vector<Step> found) {
  const std::lock_guard lock(mutex);
  if (error) return;
  std::ranges::move(found, std::back_inserter(steps));
  // Whoever adds takes the last one.
  if (waiting > 0 && steps.size() > 1) changed.notify_all();
}

// Without it the walk only takes longer.
void DirectoryWalk::Impl::start_helper() noexcept {
  try {
    helper = std::thread([this] { work(kHelper); });
  } catch (const std::system_error&) {
  }
}

DirectoryWalk::DirectoryWalk(Visit visit) : impl_(std::make_unique<Impl>(std::move(visit))) {}
DirectoryWalk::~DirectoryWalk() = default;

void DirectoryWalk::run(const MergedDir& root, const std::string& prefix) {
  impl_->run({{borrowed(root), {}, prefix}});
}

void DirectoryWalk::run(const MergedDir& above, const std::vector<MergedDir::Entry>& directories,
                        const std::string& prefix) {
  impl_->run(steps_into(borrowed(above), directories, prefix, 0));
}

}  // namespace overlayd
