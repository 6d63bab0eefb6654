// SPDX-License-Identifier: Apache-2.0
//
// Routes: from the path of a request to a method of the driver, and from whatever that throws to a
// reply. This is the one place where an error becomes an answer and a log line.
//
// Threads: any; stateless.
#pragma once

#include <cstddef>

#include "plugin/driver.h"
#include "plugin/http.h"
#include "plugin/log.h"

namespace overlayd {

class Routes {
 public:
  /// The largest JSON request taken. Engines send some hundred bytes.
  static constexpr size_t kMaxJson = 1024 * 1024;

  /// `driver` and `log` must outlive the routes.
  Routes(Driver& driver, Log& log) : driver_(driver), log_(log) {}

  /// 200 and the answer; 404 for an unknown path or method; 413 for too much JSON; 500 for every
  /// other failure, always with {"Err": …}.
  HttpReply handle(const HttpCall& call) const noexcept;

 private:
  Driver& driver_;
  Log& log_;
};

}  // namespace overlayd
