// SPDX-License-Identifier: Apache-2.0
//
// Observer: how core tells its host about things that are not the failure of the call at hand (a
// repair at start-up, a mount left in place, a socket skipped in a diff), and what a host may want
// to count. Core itself never logs.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace overlayd {

enum class NoteLevel {
  Info,     ///< worth knowing: a leftover was cleaned up
  Warning,  ///< an operator should look: something could not be repaired or was left alone
};

/// Called from any thread, also concurrently; must not throw and must not call back into the store.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void note(NoteLevel level, const std::string& message) noexcept = 0;

  /// A tar of that many members has become the content of a layer, or has been sent whole.
  virtual void applied(uint64_t /*entries*/) noexcept {}
  virtual void sent(uint64_t /*entries*/) noexcept {}
  /// The disk took that long to make a change to the store last (core/commit.h).
  virtual void committed(std::chrono::nanoseconds /*time*/) noexcept {}
};

/// Says nothing to nobody.
class NullObserver final : public Observer {
 public:
  void note(NoteLevel, const std::string&) noexcept override {}
};

}  // namespace overlayd
