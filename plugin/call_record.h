// SPDX-License-Identifier: Apache-2.0
//
// CallRecord: what is known of a call under way, and the one place that tells of its end: to the
// log, at debug or, after a failure, at error, and to the metrics.
//
// Threads: one at a time; copies are the same call.
#pragma once

#include <chrono>
#include <exception>
#include <optional>
#include <string>
#include <string_view>

#include "core/error.h"
#include "plugin/log.h"
#include "plugin/log_line.h"
#include "plugin/metrics.h"

namespace overlayd {

/// Why a call failed.
struct Failure {
  std::string cause;
  ErrorKind kind = ErrorKind::Internal;
};

class CallRecord {
 public:
  /// The call begins now. All three must outlive it, and the characters of `endpoint`.
  CallRecord(std::string_view endpoint, Metrics::Endpoint& metrics, Log& log)
      : endpoint_(endpoint), metrics_(&metrics), log_(&log) {}

  std::string endpoint() const { return std::string(endpoint_); }
  void set_id(std::string id) { id_ = std::move(id); }

  /// To be called once, one of them.
  void served() const { end(CallEnd::Served, 200, nullptr); }
  void failed(int status, const Failure& failure) const { end(CallEnd::Failed, status, &failure); }
  void cut(const Failure& failure) const { end(CallEnd::Cut, 200, &failure); }

 private:
  void end(CallEnd how, int status, const Failure* failure) const;

  std::string_view endpoint_;
  Metrics::Endpoint* metrics_;
  Log* log_;
  std::string id_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}  // namespace overlayd
