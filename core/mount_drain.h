// SPDX-License-Identifier: Apache-2.0
//
// MountDrain: ends file systems that were unmounted, behind the caller's back. When the last
// reference to an overlay goes, the kernel writes back all dirty data of the file system of its
// upper directory (generic_shutdown_super, sync_filesystem; ovl_sync_fs), which takes what it
// takes. A descriptor of its root, opened before the unmounting, makes that happen when it is
// closed, and background threads close. Any thread may call.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

#include "core/layer_id.h"
#include "core/unique_fd.h"

namespace overlayd {

class MountDrain {
 public:
  MountDrain();
  /// Waits for all.
  ~MountDrain();
  MountDrain(const MountDrain&) = delete;
  MountDrain& operator=(const MountDrain&) = delete;

  /// Closes `root`, the root of what was mounted for layer `id`, later. Waits first if there are
  /// many already.
  void take(const LayerId& id, UniqueFd root);

  /// Waits until nothing is left of a layer that `concerns` says yes to. To be asked before one of
  /// its directories goes into another overlay. No call of take() may be under way for these.
  void wait_for(const std::function<bool(const LayerId&)>& concerns);

 private:
  void run(const std::stop_token& stop);
  void close_first(std::unique_lock<std::mutex>& lock);

  std::mutex mutex_;
  std::condition_variable_any work_, done_;
  std::deque<std::pair<LayerId, UniqueFd>> roots_;  // guarded by mutex_
  unsigned hurried_ = 0;                            // guarded by mutex_: who waits for one
  std::jthread thread_;                             // last: it uses everything above
};

}  // namespace overlayd
