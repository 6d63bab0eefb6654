// SPDX-License-Identifier: Apache-2.0
//
// What the log says: how a line's text is made, for people, and its JSON fields, for programs.
//
//   text  GraphDriver.Get id='77ab' ms=0.412 status=500: there is no layer '77ab'
//   json  "message":"call failed","endpoint":"GraphDriver.Get","id":"77ab","ms":0.412,"status":500,
//         "error":"there is no layer '77ab'"
//
// Threads: any.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace overlayd {

enum class CallEnd {
  Served,
  Failed,
  Cut,  ///< while the answer was being sent
};

/// One call of an endpoint that has ended.
struct CallLine {
  std::string_view endpoint;
  std::string_view id;  ///< empty: none, or none was understood
  std::chrono::nanoseconds time;
  int status;
  CallEnd end;
  std::string_view error;  ///< empty if served
};

std::string as_text(const CallLine& call);

/// Members of a JSON object without the braces. Any bytes may be in the texts: what is no UTF-8
/// becomes U+FFFD.
std::string as_json(const CallLine& call);
std::string as_json(std::string_view message);

}  // namespace overlayd
