// SPDX-License-Identifier: Apache-2.0
//
// HttpServer: HTTP/1.1 on a socket, one thread per connection in use. The HTTP library parses
// requests and writes replies; accepting, threads, buffering, bodies and stopping are done here,
// because an engine holds connections open for ever, streams for minutes, and must be told of a
// cut.
//
// Threads: start() and stop() from one thread. The process must ignore SIGPIPE.
#pragma once

#include <chrono>
#include <cstddef>
#include <limits>
#include <memory>

#include "plugin/http.h"
#include "plugin/listener.h"
#include "plugin/log.h"

namespace overlayd {

class HttpServer {
 public:
  /// What a plugin manager leaves between SIGTERM and SIGKILL is 10 s; the rest is for rolling
  /// back.
  static constexpr std::chrono::milliseconds kGrace{8000};

  /// `log` must outlive the server. Of more clients than `most_clients` at once, the later ones are
  /// turned away.
  HttpServer(std::unique_ptr<Listener> listener, HttpHandler handler, Log& log,
             size_t most_clients = std::numeric_limits<size_t>::max());
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
