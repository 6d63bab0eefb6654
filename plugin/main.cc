// SPDX-License-Identifier: Apache-2.0
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <exception>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>

#include "core/error.h"
#include "core/layer_store.h"
#include "plugin/check_command.h"
#include "plugin/driver.h"
#include "plugin/http_server.h"
#include "plugin/inspect_command.h"
#include "plugin/log.h"
#include "plugin/metrics.h"
#include "plugin/metrics_server.h"
#include "plugin/move_command.h"
#include "plugin/options.h"
#include "plugin/routes.h"
#include "plugin/service_manager.h"
#include "plugin/shutdown.h"
#include "plugin/state_dir.h"
#include "plugin/terminal.h"
#include "plugin/unix_listener.h"
#include "plugin/version.h"

namespace {

using namespace overlayd;

// Connections, layers being read and mounts being built all cost descriptors, and the soft limit of
// 1024 is there for programs that use select(2), which this one does not.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

// A service manager that has gone away is no reason to fail.
void tell(std::string_view state, Log& log) {
  try {
    tell_service_manager(state);
  } catch (const Error& error) {
    log.warning(error.what());
  }
}

void serve(const ServeOptions& options, Log& log) {
  StopSignals signals;
  log.info("overlayd " + std::string(version()) + " starting");
  StateDir state(options.state_dir);
  // Clients may connect from here on; their calls wait until the store is there.
  auto listener = std::make_unique<UnixListener>(options.socket);
  Metrics metrics;
  Driver driver(state, options.mount_api, options.durability, LayerStore::open, metrics, log);
  // Before the store, which may take its time to open.
  std::unique_ptr<HttpServer> metrics_server;
  if (options.metrics) metrics_server = serve_metrics(*options.metrics, driver, metrics, log);
  driver.resume();
  const Routes routes(driver, metrics, log);
  HttpServer server(
      std::move(listener), [&](const HttpCall& call) { return routes.handle(call); }, log);
  server.start();
  const std::string ready = "ready: listening on " + quoted(options.socket.native());
  log.info(ready);
  tell("READY=1\nSTATUS=" + ready, log);
  const int signal = signals.wait();
  log.info("stopping on signal " + std::to_string(signal));
  tell("STOPPING=1", log);
  server.stop();
  if (metrics_server) metrics_server->stop();
  log.info("stopped; mounts stay as they are");
}

}  // namespace

int main(int argc, char** argv) {
  // Modes are part of a layer's content: the ones given to open(2), mkdir(2) and mknod(2) are meant
  // exactly, and a umask would cost a chmod for each file.
  ::umask(0);
  const CommandLine command = parse_command_line(argc, argv, std::cout, std::cerr);
  if (command.check) {
    return run_check(*command.check, std::cout, std::cerr, ::isatty(STDERR_FILENO) == 1);
  }
  if (command.inspect) {
    return run_inspect(*command.inspect, std::cout, std::cerr, look_at_terminal(STDOUT_FILENO),
                       ::isatty(STDERR_FILENO) == 1);
  }
  if (command.move) return run_move(*command.move, std::cout, std::cerr);
  if (!command.serve) return command.exit_code;
  raise_descriptor_limit();
  Log log(command.serve->log_level, command.serve->log_format,
          is_journal(STDERR_FILENO) ? LogTarget::Journal : LogTarget::Stream);
  try {
    serve(*command.serve, log);
    return 0;
  } catch (const std::exception& error) {
    log.error(error.what());
    return 1;
  }
}
