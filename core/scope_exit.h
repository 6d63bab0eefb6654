// SPDX-License-Identifier: Apache-2.0
//
// ScopeExit: an undo step for what has no owning type of its own. Dismiss it at the commit point.
#pragma once

#include <utility>

namespace overlayd {

template <typename F>
class [[nodiscard]] ScopeExit {
 public:
  explicit ScopeExit(F undo) : undo_(std::move(undo)) {}
  ScopeExit(const ScopeExit&) = delete;
  ScopeExit& operator=(const ScopeExit&) = delete;
  ~ScopeExit() {
    if (armed_) undo_();
  }
  void dismiss() noexcept { armed_ = false; }

 private:
  F undo_;  // must not throw
  bool armed_ = true;
};

}  // namespace overlayd
