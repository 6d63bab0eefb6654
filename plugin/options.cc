// SPDX-License-Identifier: Apache-2.0
#include "plugin/options.h"

#include <string>
#include <utility>

#include <CLI/CLI.hpp>

#include "plugin/version.h"

namespace overlayd {
namespace {

struct RawOptions {
  std::string socket, state_dir, log_level = "info", mount_api = "auto", durability = "strict";
};

void add_serve(CLI::App& app, RawOptions& raw) {
  CLI::App* serve = app.add_subcommand("serve", "Serve the plugin protocol in the foreground");
  serve->add_option("--socket", raw.socket, "Unix socket to listen on")
      ->envname("OVERLAYD_SOCKET")
      ->required()
      ->type_name("PATH");
  serve->add_option("--state-dir", raw.state_dir, "Directory for what must survive a restart")
      ->envname("OVERLAYD_STATE_DIR")
      ->required()
      ->type_name("DIR");
  serve->add_option("--log-level", raw.log_level, "debug, info, warning, error or off")
      ->envname("OVERLAYD_LOG_LEVEL")
      ->capture_default_str()
      ->type_name("LEVEL")
      ->check([](const std::string& text) {
        return parse_log_level(text) ? std::string() : "unknown log level '" + text + "'";
      });
  serve->add_option("--mount-api", raw.mount_api, "auto, layer-fds, layer-names or classic")
      ->envname("OVERLAYD_MOUNT_API")
      ->capture_default_str()
      ->type_name("API")
      ->check([](const std::string& text) {
        return parse_mount_method(text) ? std::string() : "unknown mount API '" + text + "'";
      });
  serve->add_option("--durability", raw.durability, "strict, syncfs or none")
      ->envname("OVERLAYD_DURABILITY")
      ->capture_default_str()
      ->type_name("HOW")
      ->check([](const std::string& text) {
        return parse_durability(text) ? std::string() : "unknown durability '" + text + "'";
      });
}

void add_check(CLI::App& app, CheckOptions& options) {
  CLI::App* check = app.add_subcommand("check", "Look for damage in a store, served or not");
  check->footer("Exit status: 0 no damage, 1 damage, 2 could not check");
  check->add_option("HOME", options.home, "Directory with the layers")->required();
  check->add_flag("--repair", options.store.repair, "Repair what can be; nothing may serve it");
  check
      ->add_option("--layerdb", options.store.layer_database,
                   "Layer database of an engine: name layers that it does not know")
      ->type_name("DIR");
  check->add_flag("--content", options.store.content,
                  "Compare every file with what was recorded when its layer was filled");
  check->add_flag("--json", options.json, "Print JSON");
}

ServeOptions cooked(const RawOptions& raw) {
  return {.socket = std::filesystem::absolute(raw.socket),
          .state_dir = std::filesystem::absolute(raw.state_dir),
          .log_level = parse_log_level(raw.log_level).value(),
          .mount_api = parse_mount_method(raw.mount_api).value(),
          .durability = parse_durability(raw.durability).value()};
}

}  // namespace

CommandLine parse_command_line(int argc, const char* const* argv, std::ostream& out,
                               std::ostream& err) {
  RawOptions raw;
  CLI::App app("overlayd: overlay layers for container engines, as a graph driver plugin",
               "overlayd");
  app.set_version_flag("--version", "overlayd " + std::string(version()));
  app.require_subcommand(1);
  add_serve(app, raw);
  CheckOptions check;
  add_check(app, check);
  try {
    app.parse(argc, argv);
    if (app.got_subcommand("check")) {
      return {.serve = std::nullopt, .check = std::move(check), .exit_code = 0};
    }
    return {.serve = cooked(raw), .check = std::nullopt, .exit_code = 0};
  } catch (const CLI::ParseError& error) {
    return {.serve = std::nullopt, .check = std::nullopt, .exit_code = app.exit(error, out, err)};
  }
}

}  // namespace overlayd
