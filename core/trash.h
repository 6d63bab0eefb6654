// SPDX-License-Identifier: Apache-2.0
//
// Trash: removal in two steps, a rename that counts and a deletion that takes its time. One
// background thread deletes, and takes limits off (core/layer_quotas.h). It waits while calls come,
// whom it would disturb, but not for long. What a stop leaves behind, the next start finds. Any
// thread may call.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <string>
#include <thread>

#include "core/observer.h"
#include "core/unique_fd.h"

namespace overlayd {

class Trash {
 public:
  /// Starts deleting what lies in the directory `directory` already. `observer` must outlive this
  /// and hears of what cannot be deleted; such leftovers are tried again at the next start.
  Trash(UniqueFd directory, Observer& observer);
  /// Stops between two files.
  ~Trash();
  Trash(const Trash&) = delete;
  Trash& operator=(const Trash&) = delete;

  /// Takes `path` below `dirfd` away (one rename within the file system); its space comes back
  /// later. False when there was nothing. The commit point of a removal.
  bool take(int dirfd, const std::string& path);

  /// A call has come that deleting would disturb, by the same disk, journal and processors.
  void make_way() noexcept { last_call_ = Clock::now(); }

  /// How many things lie in it still.
  size_t waiting() const;

 private:
  using Clock = std::chrono::steady_clock;

  void run(std::stop_token stop);
  void release(const std::string& name);
  void empty(const std::stop_token& stop);
  void wait_for_calls(const std::stop_token& stop);

  UniqueFd directory_;
  Observer& observer_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  bool pending_ = true;  // guarded by mutex_
  std::atomic<Clock::time_point> last_call_ = Clock::time_point::min();
  Clock::time_point works_until_ = Clock::time_point::min();  // the thread's: calls or not
  std::jthread thread_;                                       // last: it uses everything above
};

}  // namespace overlayd
