// SPDX-License-Identifier: Apache-2.0
//
// Metrics: what happened since the process began, in numbers, and how they are written for
// Prometheus. All series are there from the beginning, with 0. What each one counts is told in
// docs/operations/README.md.
//
// Threads: any. Counting is a few atomic additions.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/error.h"
#include "core/layer_store.h"

namespace overlayd {

class Metrics {
 public:
  Metrics();
  ~Metrics();

  /// The series of one endpoint; as good as the metrics.
  class Endpoint;
  /// Makes them, or finds them. Takes a lock: to be called once, at the start.
  Endpoint& endpoint(std::string_view name);

  /// A call ended after that time, with that error or none.
  static void count_call(Endpoint& endpoint, std::chrono::nanoseconds time,
                         std::optional<ErrorKind> error) noexcept;

  void count_received(uint64_t bytes) noexcept;
  void count_sent(uint64_t bytes) noexcept;
  void count_entries_applied(uint64_t entries) noexcept;
  void count_entries_sent(uint64_t entries) noexcept;
  void count_commit(std::chrono::nanoseconds time) noexcept;

  /// All of it in Prometheus's text format, with what `store` says now, the store that is served,
  /// if there is one.
  std::string text(const std::optional<StoreStatus>& store) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace overlayd
