// SPDX-License-Identifier: Apache-2.0
#include "core/trash.h"

#include <algorithm>
#include <cerrno>

#include "core/error.h"
#include "core/layer_quotas.h"
#include "core/layout.h"
#include "core/sys.h"

namespace overlayd {
namespace {

using std::chrono::milliseconds;

// An engine's calls for one container come closer to each other.
constexpr milliseconds kQuiet{20};
// When they never end, space comes back all the same: a fifth of the time is for that.
constexpr milliseconds kLongestWait{200}, kWork{50};

}  // namespace

Trash::Trash(UniqueFd directory, Observer& observer)
    : directory_(std::move(directory)), observer_(observer) {
  thread_ = sys::starting_thread(
      [this] { return std::jthread([this](std::stop_token stop) { run(std::move(stop)); }); });
}

Trash::~Trash() {
  thread_.request_stop();
  wake_.notify_all();
}

bool Trash::take(int dirfd, const std::string& path) {
  try {
    sys::renameat(dirfd, path, directory_.get(), layout::random_name());
  } catch (const SysError& error) {
    if (error.errnum() == ENOENT) return false;
    throw;
  }
  {
    const std::lock_guard lock(mutex_);
    pending_ = true;
  }
  wake_.notify_one();
  return true;
}

size_t Trash::waiting() const {
  return with_context("count the trash",
                      [&] { return sys::list_directory(directory_.get()).size(); });
}

void Trash::run(std::stop_token stop) {
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      if (!wake_.wait(lock, stop, [this] { return pending_; })) return;
      pending_ = false;
    }
    empty(stop);
  }
}

// Limits that stay are no reason to keep the files.
void Trash::release(const std::string& name) {
  try {
    release_project(directory_.get(), name);
  } catch (const std::exception& error) {
    observer_.note(NoteLevel::Warning,
                   "the limits of a removed layer in trash stay: " + std::string(error.what()));
  }
}

// Between one file and the next.
void Trash::wait_for_calls(const std::stop_token& stop) {
  const Clock::time_point begin = Clock::now();
  if (begin < works_until_) return;
  const Clock::time_point end = begin + kLongestWait;
  std::unique_lock lock(mutex_);
  for (auto now = begin; !stop.stop_requested(); now = Clock::now()) {
    if (now >= end) {
      works_until_ = now + kWork;
      return;
    }
    const Clock::time_point last_call = last_call_;
    if (last_call + kQuiet <= now) return;
    wake_.wait_until(lock, stop, std::min(last_call + kQuiet, end), [] { return false; });
  }
}

void Trash::empty(const std::stop_token& stop) {
  const auto go_on = [&] {
    wait_for_calls(stop);
    return !stop.stop_requested();
  };
  try {
    for (const sys::DirEntry& entry : sys::list_directory(directory_.get())) {
      if (!go_on()) return;
      try {
        release(entry.name);
        sys::remove_tree(directory_.get(), entry.name, go_on);
      } catch (const std::exception& error) {
        observer_.note(NoteLevel::Warning,
                       "cannot delete removed layer in trash yet: " + std::string(error.what()));
      }
    }
  } catch (const std::exception& error) {
    observer_.note(NoteLevel::Warning, "cannot list the trash: " + std::string(error.what()));
  }
}

}  // namespace overlayd
