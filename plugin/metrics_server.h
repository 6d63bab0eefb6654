// SPDX-License-Identifier: Apache-2.0
//
// Where and how metrics are had: `GET /metrics` on a socket of its own, to which whoever may read
// them can be let without being let to the layers.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

#include "plugin/driver.h"
#include "plugin/http_server.h"
#include "plugin/log.h"
#include "plugin/loopback_listener.h"
#include "plugin/metrics.h"

namespace overlayd {

/// The absolute path of a unix socket, or a port that only this machine reaches.
using MetricsAddress = std::variant<std::filesystem::path, LoopbackAddress>;

/// "unix:PATH", "127.0.0.1:PORT" or "[::1]:PORT"; Error(InvalidArgument) for anything else.
MetricsAddress parse_metrics_address(std::string_view text);

std::string to_string(const MetricsAddress& address);

/// Listens, with mode 0600 on a unix socket, and serves until it is destroyed. A few clients at
/// once; more are turned away. The others must outlive it.
std::unique_ptr<HttpServer> serve_metrics(const MetricsAddress& address, const Driver& driver,
                                          const Metrics& metrics, Log& log);

/// The answer to one request. Must not throw.
HttpReply answer_metrics(const HttpCall& call, const Driver& driver, const Metrics& metrics,
                         Log& log) noexcept;

}  // namespace overlayd
