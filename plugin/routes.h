// SPDX-License-Identifier: Apache-2.0
//
// Routes: from the path of a request to a method of the driver, and from whatever that throws to a
// reply. This is the one place where an error becomes an answer, and what is told of a call, to the
// log and the metrics. A call of no known endpoint is neither logged nor counted.
//
// Threads: any; stateless.
#pragma once

#include <cstddef>
#include <vector>

#include "plugin/driver.h"
#include "plugin/http.h"
#include "plugin/log.h"
#include "plugin/metrics.h"

namespace overlayd {

class Routes {
 public:
  /// The largest JSON request taken. Engines send some hundred bytes.
  static constexpr size_t kMaxJson = 1024 * 1024;

  /// All three must outlive the routes and the answers' streams.
  Routes(Driver& driver, Metrics& metrics, Log& log);

  /// 200 and the answer; 404 for an unknown path or method; 413 for too much JSON; 500 for every
  /// other failure, always with {"Err": …}.
  HttpReply handle(const HttpCall& call) const noexcept;

 private:
  Driver& driver_;
  Metrics& metrics_;
  Log& log_;
  std::vector<Metrics::Endpoint*> endpoints_;  ///< in the order of the table of routes
};

}  // namespace overlayd
