// SPDX-License-Identifier: Apache-2.0
//
// HttpCall and HttpReply: what plugin/http_server.h and plugin/routes.h tell each other. Plain
// values; no HTTP library behind them.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "core/stream.h"

namespace overlayd {

/// One request. The views are good for the duration of the handler.
struct HttpCall {
  std::string_view method;
  std::string_view path;   ///< decoded, without the query
  std::string_view query;  ///< as sent, without the '?'
  ByteSource& body;        ///< what the handler leaves unread is dropped before the reply goes out
};

enum class ContentType { Json, Tar, Metrics };

struct HttpReply {
  int status = 200;
  std::string body = {};

  /// When set, the reply is of unknown length and `body` is unused: called once, after the headers
  /// are out. False, or a throw: the content is incomplete and the connection is cut, without the
  /// terminating chunk, so that the receiver cannot mistake it for all.
  std::function<bool(ByteSink&)> stream = {};
  ContentType type = ContentType::Json;
};

/// Called from many threads at once; must not throw.
using HttpHandler = std::function<HttpReply(const HttpCall&)>;

}  // namespace overlayd
