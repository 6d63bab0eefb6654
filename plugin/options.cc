// SPDX-License-Identifier: Apache-2.0
#include "plugin/options.h"

#include <string>
#include <utility>

#include <CLI/CLI.hpp>

#include "core/error.h"
#include "plugin/version.h"

namespace overlayd {
namespace {

struct RawOptions {
  std::string socket, state_dir, log_level = "info", mount_api = "auto", durability = "strict",
                                 log_format = "text", metrics;
};

// What the options of each command are parsed into.
struct Parsed {
  RawOptions serve;
  CheckOptions check;
  InspectOptions inspect;
  MoveOptions move;
};

std::string complaint_about_metrics(const std::string& text) {
  try {
    parse_metrics_address(text);
    return {};
  } catch (const Error& error) {
    return error.what();
  }
}

// An option with a default, that takes only the words that `parse` knows.
template <typename Parse>
void as_choice(CLI::Option* option, const char* what, Parse parse) {
  option->capture_default_str()->check([what, parse](const std::string& text) {
    return parse(text) ? std::string() : std::string("unknown ") + what + " '" + text + "'";
  });
}

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
  as_choice(serve
                ->add_option("--log-level", raw.log_level,
                             "What is logged: debug, info, warning, error or off")
                ->envname("OVERLAYD_LOG_LEVEL")
                ->type_name("LEVEL"),
            "log level", parse_log_level);
  as_choice(serve->add_option("--log-format", raw.log_format, "How it is logged: text or json")
                ->envname("OVERLAYD_LOG_FORMAT")
                ->type_name("FORMAT"),
            "log format", parse_log_format);
  as_choice(serve
                ->add_option("--mount-api", raw.mount_api,
                             "How layers are mounted: auto, layer-fds, layer-names or classic")
                ->envname("OVERLAYD_MOUNT_API")
                ->type_name("API"),
            "mount API", parse_mount_method);
  as_choice(serve
                ->add_option("--durability", raw.durability,
                             "How answered calls survive a power cut: strict, syncfs or none")
                ->envname("OVERLAYD_DURABILITY")
                ->type_name("HOW"),
            "durability", parse_durability);
  serve
      ->add_option("--metrics", raw.metrics,
                   "Serve metrics for Prometheus on unix:PATH, 127.0.0.1:PORT or [::1]:PORT")
      ->envname("OVERLAYD_METRICS")
      ->type_name("ADDRESS")
      ->check(complaint_about_metrics);
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

struct InspectCommand {
  InspectOptions::Command command;
  const char *name, *description, *footer;
};

constexpr InspectCommand kInspectCommands[] = {
    {InspectOptions::Command::List, "ls", "List the layers of a store",
     "Examples:\n"
     "  overlayd ls /var/lib/docker/overlay2\n"
     "  overlayd ls --mounted --full /var/lib/docker/overlay2\n"
     "  overlayd ls --json /var/lib/docker/overlay2 | jq -r '.[] | select(.size > 1e9) | .id'"},
    {InspectOptions::Command::Tree, "tree", "Draw which layer lies on which",
     "Examples:\n"
     "  overlayd tree /var/lib/docker/overlay2\n"
     "  overlayd tree --size --state-dir /run/overlayd /var/lib/docker/overlayd"},
    {InspectOptions::Command::Show, "show", "Tell all that is known of a layer",
     "Examples:\n"
     "  overlayd show /var/lib/docker/overlay2 9f3c1a\n"
     "  overlayd show --json /var/lib/docker/overlay2 9f3c1a-init | jq -r .mount_command"},
    {InspectOptions::Command::Usage, "du", "Measure what each layer takes of the disk",
     "Examples:\n"
     "  overlayd du /var/lib/docker/overlay2\n"
     "  overlayd du --json /var/lib/docker/overlay2 | jq .total.bytes"},
    {InspectOptions::Command::Status, "status", "Sum a store up",
     "Exit status: 0 no damage, 1 damage, 2 could not look\n\n"
     "Example:\n"
     "  overlayd status /var/lib/docker/overlay2"},
};

void add_choices(CLI::App& command, InspectOptions& options) {
  command.add_flag("--mounted", options.mounted, "Only layers that are mounted");
  command.add_flag("--unfinished", options.unfinished,
                   "Only those that an ApplyDiff has not filled");
  command.add_flag("--orphans", options.orphans, "Only those that the engine does not know");
}

void add_inspect(CLI::App& app, const InspectCommand& inspect, InspectOptions& options) {
  using Command = InspectOptions::Command;
  CLI::App* command = app.add_subcommand(inspect.name, inspect.description);
  command->footer(inspect.footer);
  command->parse_complete_callback([&options, &inspect] { options.command = inspect.command; });
  command->add_option("HOME", options.home, "Directory with the layers")->required();
  if (inspect.command == Command::Show) {
    command->add_option("ID", options.layer, "The layer, or the beginning of its id")->required();
  }
  if (inspect.command == Command::List) add_choices(*command, options);
  command->add_flag("--json", options.json, "Print JSON");
  if (inspect.command == Command::Status) return;
  command->add_flag("--full", options.full, "Do not shorten ids on a terminal");
  command
      ->add_option("--layerdb", options.view.layer_database,
                   "Layer database of an engine, if it is not where it belongs to HOME")
      ->type_name("DIR");
  if (inspect.command == Command::Usage) return;
  command
      ->add_option("--state-dir", options.view.state_dir,
                   "State directory of overlayd: tell how often layers are held")
      ->type_name("DIR");
  command->add_flag("--size", options.view.measure, "Measure the sizes that are not recorded");
}

struct MoveCommandLine {
  Direction direction;
  const char *name, *description, *footer;
};

constexpr MoveCommandLine kMoveCommands[] = {
    {Direction::Adopt, "adopt", "Take over the layers, images and containers of Docker's overlay2",
     "The engine must be stopped. Nothing is copied. Interrupted, it goes on when it is run "
     "again,\n"
     "or back with release.\n\n"
     "Exit status: 0 done, 1 refused and nothing changed, 2 error: run it again\n\n"
     "Examples:\n"
     "  systemctl stop docker.socket docker\n"
     "  overlayd adopt --dry-run /var/lib/docker\n"
     "  overlayd adopt /var/lib/docker"},
    {Direction::Release, "release", "Give them back to Docker's overlay2",
     "The engine and overlayd must be stopped. Nothing is copied. Interrupted, it goes on when it "
     "is\n"
     "run again, or back with adopt.\n\n"
     "Exit status: 0 done, 1 refused and nothing changed, 2 error: run it again\n\n"
     "Examples:\n"
     "  systemctl stop docker.socket docker overlayd\n"
     "  overlayd release /var/lib/docker"},
};

void add_move(CLI::App& app, const MoveCommandLine& move, MoveOptions& options) {
  CLI::App* command = app.add_subcommand(move.name, move.description);
  command->footer(move.footer);
  command->parse_complete_callback([&options, &move] { options.direction = move.direction; });
  command->add_option("DATA-ROOT", options.root, "Directory of the engine")->required();
  command
      ->add_option("--driver", options.driver,
                   "What the engine calls overlayd, if not \"overlayd\": of a managed plugin "
                   "NAME:TAG")
      ->type_name("NAME");
  command->add_flag("--dry-run", options.dry_run, "Only say what would be done, or why not");
}

ServeOptions cooked(const RawOptions& raw) {
  std::optional<MetricsAddress> metrics;
  if (!raw.metrics.empty()) metrics = parse_metrics_address(raw.metrics);
  return {.socket = std::filesystem::absolute(raw.socket),
          .state_dir = std::filesystem::absolute(raw.state_dir),
          .log_level = parse_log_level(raw.log_level).value(),
          .mount_api = parse_mount_method(raw.mount_api).value(),
          .durability = parse_durability(raw.durability).value(),
          .log_format = parse_log_format(raw.log_format).value(),
          .metrics = std::move(metrics)};
}

void add_commands(CLI::App& app, Parsed& parsed) {
  app.set_version_flag("--version", "overlayd " + std::string(version()));
  app.require_subcommand(1);
  add_serve(app, parsed.serve);
  add_check(app, parsed.check);
  for (const InspectCommand& command : kInspectCommands) add_inspect(app, command, parsed.inspect);
  for (const MoveCommandLine& command : kMoveCommands) add_move(app, command, parsed.move);
}

OptionHelp help_of(const CLI::Option& option) {
  return {.name = option.get_positional() ? option.get_name(true) : "--" + option.get_lnames()[0],
          .value = option.nonpositional() ? option.get_type_name() : "",
          .variable = option.get_envname(),
          .fallback = option.get_default_str(),
          .meaning = option.get_description(),
          .required = option.get_required()};
}

CommandHelp help_of(const CLI::App& command) {
  CommandHelp help{.name = command.get_name(), .meaning = command.get_description()};
  for (const CLI::Option* option : command.get_options()) help.options.push_back(help_of(*option));
  return help;
}

}  // namespace

CommandLine parse_command_line(int argc, const char* const* argv, std::ostream& out,
                               std::ostream& err) {
  Parsed parsed;
  CLI::App app("overlayd: overlay layers for container engines, as a graph driver plugin",
               "overlayd");
  add_commands(app, parsed);
  CommandLine line;
  try {
    app.parse(argc, argv);
    if (app.got_subcommand("serve")) {
      line.serve = cooked(parsed.serve);
    } else if (app.got_subcommand("check")) {
      line.check = std::move(parsed.check);
    } else if (app.got_subcommand("adopt") || app.got_subcommand("release")) {
      line.move = std::move(parsed.move);
    } else {
      line.inspect = std::move(parsed.inspect);
    }
  } catch (const CLI::ParseError& error) {
    line.exit_code = app.exit(error, out, err);
  }
  return line;
}

std::vector<CommandHelp> command_help() {
  Parsed parsed;
  CLI::App app;
  add_commands(app, parsed);
  std::vector<CommandHelp> commands{help_of(app)};
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    commands.push_back(help_of(*command));
  }
  return commands;
}

}  // namespace overlayd
