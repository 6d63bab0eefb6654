// SPDX-License-Identifier: Apache-2.0
#include "plugin/metrics_server.h"

#include <charconv>
#include <optional>

#include "core/error.h"
#include "plugin/protocol.h"
#include "plugin/unix_listener.h"

namespace overlayd {
namespace {

constexpr std::string_view kUnix = "unix:", kV4 = "127.0.0.1:", kV6 = "[::1]:";

// A Prometheus keeps one connection. Anybody on the machine may connect to a port, and must not
// take descriptors and threads from those who need layers.
constexpr size_t kMostClients = 16;

std::optional<uint16_t> parse_port(std::string_view text) {
  uint16_t port = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (status != std::errc() || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

std::unique_ptr<Listener> listen_on(const MetricsAddress& address) {
  if (const auto* path = std::get_if<std::filesystem::path>(&address)) {
    return std::make_unique<UnixListener>(*path);
  }
  return std::make_unique<LoopbackListener>(std::get<LoopbackAddress>(address));
}

HttpReply error_reply(int status, const std::string& text) {
  return {.status = status, .body = encode(ErrorReply{text})};
}

}  // namespace

MetricsAddress parse_metrics_address(std::string_view text) {
  if (text.starts_with(kUnix) && text.size() > kUnix.size()) {
    return std::filesystem::absolute(text.substr(kUnix.size()));
  }
  for (const std::string_view host : {kV4, kV6}) {
    if (!text.starts_with(host)) continue;
    if (const auto port = parse_port(text.substr(host.size()))) {
      return LoopbackAddress{.is_v6 = host == kV6, .port = *port};
    }
  }
  throw Error(
      ErrorKind::InvalidArgument,
      "metrics are served on unix:PATH, 127.0.0.1:PORT or [::1]:PORT, not on " + quoted(text));
}

std::string to_string(const MetricsAddress& address) {
  if (const auto* path = std::get_if<std::filesystem::path>(&address)) {
    return std::string(kUnix) + path->native();
  }
  return to_string(std::get<LoopbackAddress>(address));
}

HttpReply answer_metrics(const HttpCall& call, const Driver& driver, const Metrics& metrics,
                         Log& log) noexcept {
  if (call.path != "/metrics") return error_reply(404, "only /metrics is here");
  if (call.method != "GET") return error_reply(405, "metrics are only to be read");
  try {
    return {.body = metrics.text(driver.store_status()), .type = ContentType::Metrics};
  } catch (const std::exception& error) {
    log.warning(std::string("cannot tell metrics: ") + error.what());
    return error_reply(500, error.what());
  }
}

std::unique_ptr<HttpServer> serve_metrics(const MetricsAddress& address, const Driver& driver,
                                          const Metrics& metrics, Log& log) {
  auto server = std::make_unique<HttpServer>(
      listen_on(address),
      [&](const HttpCall& call) { return answer_metrics(call, driver, metrics, log); }, log,
      kMostClients);
  server->start();
  log.info("metrics: listening on " + quoted(to_string(address)));
  return server;
}

}  // namespace overlayd
