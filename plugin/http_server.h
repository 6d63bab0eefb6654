// SPDX-License-Identifier: Apache-2.0
//
// HttpServer: HTTP/1.1 on a unix socket, one thread per connection in use. The HTTP library parses
// requests and writes replies; accepting, threads, buffering, bodies and stopping are done here,
// because an engine holds connections open for ever, streams for minutes, and must be told of a
// cut.
//
// Threads: start() and stop() from one thread.
#pragma once

#include <chrono>
#include <memory>

#include "plugin/http.h"
#include "plugin/log.h"
#include "plugin/unix_listener.h"

namespace overlayd {

class HttpServer {
 public:
  /// What a plugin manager leaves between SIGTERM and SIGKILL is 10 s; the rest is for rolling
  /// back.
  static constexpr std::chrono::milliseconds kGrace{8000};

  /// `log` must outlive the server.
  HttpServer(std::unique_ptr<UnixListener> listener, HttpHandler handler, Log& log);
  ~HttpServer();  ///< as stop(0)

  void start();

  /// Takes no more clients, closes idle connections, lets calls under way finish for `grace`, then
  /// shuts their sockets so that what they read or write fails. Returns when the last handler has.
  void stop(std::chrono::milliseconds grace = kGrace);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace overlayd
