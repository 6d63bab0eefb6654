// SPDX-License-Identifier: Apache-2.0
#include "core/trash.h"

#include <cerrno>

#include "core/error.h"
#include "core/layout.h"
#include "core/sys.h"

namespace overlayd {

namespace {

/// Shorter than anybody notices, longer than the pause costs.
constexpr std::chrono::milliseconds kAtATime{2};

}  // namespace

Trash::Trash(UniqueFd directory, Observer& observer)
    : directory_(std::move(directory)), observer_(observer) {
  thread_ = std::jthread([this](std::stop_token stop) { run(std::move(stop)); });
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

void Trash::empty(const std::stop_token& stop) {
  const auto go_on = [&] { return keep_going(stop); };
  resumed_ = Clock::now();
  try {
    for (const sys::DirEntry& entry : sys::list_directory(directory_.get())) {
      if (!go_on()) return;
      try {
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

// Half of the time belongs to others.
bool Trash::keep_going(const std::stop_token& stop) {
  const auto worked = Clock::now() - resumed_;
  if (worked >= kAtATime) {
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, stop, worked, [] { return false; });
    resumed_ = Clock::now();
  }
  return !stop.stop_requested();
}

}  // namespace overlayd
