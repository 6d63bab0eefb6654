// SPDX-License-Identifier: Apache-2.0
//
// UnheldMounts: takes layers down that nobody holds any more, a moment after the last holder gave
// his up and behind his back. Looking for processes that use one, and the kernel's unmounting,
// take longer than everything else that a Put does; who removes the layer within that moment needs
// no look. Any thread may call.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "core/layer_table.h"

namespace overlayd {

class UnheldMounts {
 public:
  /// `take_down` is called with the lock of a layer whose `leaving` is set. It resets that, and
  /// does not throw.
  explicit UnheldMounts(std::function<void(Layer&)> take_down);
  /// Takes down at once what is left.
  ~UnheldMounts();
  UnheldMounts(const UnheldMounts&) = delete;
  UnheldMounts& operator=(const UnheldMounts&) = delete;

  /// Takes `layer` down a moment from now, if it is leaving then. Never waits.
  void add(std::shared_ptr<Layer> layer);

  /// Takes down now what `concerns` says yes to, of the layers added before. Takes their locks.
  void hurry(const std::function<bool(const Layer&)>& concerns);

 private:
  struct Waiting {
    std::shared_ptr<Layer> layer;
    std::chrono::steady_clock::time_point due;
  };

  void run(const std::stop_token& stop);
  void take_down(Layer& layer) const;

  const std::function<void(Layer&)> take_down_;
  std::mutex mutex_;  // of a layer's lock and this one, the layer's comes first
  std::condition_variable_any wake_;
  std::deque<Waiting> waiting_;     // guarded by mutex_; the first is due first
  std::shared_ptr<Layer> in_work_;  // guarded by mutex_; null: none
  std::jthread thread_;             // last: it uses everything above
};

}  // namespace overlayd
