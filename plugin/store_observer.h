// SPDX-License-Identifier: Apache-2.0
//
// StoreObserver: puts what core tells into the log and the metrics, which must outlive it.
#pragma once

#include <string>

#include "core/observer.h"
#include "plugin/log.h"
#include "plugin/metrics.h"

namespace overlayd {

class StoreObserver final : public Observer {
 public:
  StoreObserver(Metrics& metrics, Log& log) : metrics_(metrics), log_(log) {}

  void note(NoteLevel level, const std::string& message) noexcept override {
    log_.write(level == NoteLevel::Warning ? LogLevel::Warning : LogLevel::Info, message);
  }
  void applied(uint64_t entries) noexcept override { metrics_.count_entries_applied(entries); }
  void sent(uint64_t entries) noexcept override { metrics_.count_entries_sent(entries); }
  void committed(std::chrono::nanoseconds time) noexcept override { metrics_.count_commit(time); }

 private:
  Metrics& metrics_;
  Log& log_;
};

}  // namespace overlayd
