// SPDX-License-Identifier: Apache-2.0
//
// Options: what the command line and the environment ask for.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "core/durability.h"
#include "core/mount_method.h"
#include "core/store_check.h"
#include "core/store_view.h"
#include "plugin/log.h"
#include "plugin/metrics_server.h"
#include "plugin/move_plan.h"

namespace overlayd {

struct ServeOptions {
  std::filesystem::path socket;     ///< absolute
  std::filesystem::path state_dir;  ///< absolute
  LogLevel log_level = LogLevel::Info;
  MountMethod mount_api = MountMethod::Auto;
  Durability durability = Durability::Strict;
  LogFormat log_format = LogFormat::Text;
  std::optional<MetricsAddress> metrics = std::nullopt;  ///< none: not served
};

struct CheckOptions {
  std::filesystem::path home;
  StoreCheckOptions store = {};
  bool json = false;
};

/// Looking into a store.
struct InspectOptions {
  enum class Command { List, Tree, Show, Usage, Status };
  Command command = Command::List;
  std::filesystem::path home = {};
  std::string layer = {};  ///< to show; may be the beginning of its id
  StoreViewOptions view = {};
  bool mounted = false, unfinished = false, orphans = false;  ///< to list only those
  bool full = false;                                          ///< ids in full length
  bool json = false;
};

/// At most one of the commands; none: there is nothing to do but exit.
struct CommandLine {
  std::optional<ServeOptions> serve;
  std::optional<CheckOptions> check;
  std::optional<InspectOptions> inspect;
  std::optional<MoveOptions> move;
  int exit_code = 0;
};

/// Reads flags, then OVERLAYD_SOCKET, OVERLAYD_STATE_DIR, OVERLAYD_LOG_LEVEL, OVERLAYD_LOG_FORMAT,
/// OVERLAYD_MOUNT_API, OVERLAYD_DURABILITY and OVERLAYD_METRICS for those not given. Help and
/// version go to `out`, complaints to `err`.
CommandLine parse_command_line(int argc, const char* const* argv, std::ostream& out,
                               std::ostream& err);

/// What --help tells of an option or an argument.
struct OptionHelp {
  std::string name;           ///< "--log-level", or the argument's, "HOME"
  std::string value = {};     ///< what an option takes, "LEVEL"; empty: nothing
  std::string variable = {};  ///< of the environment; empty: none stands in for it
  std::string fallback = {};  ///< its default; may be empty
  std::string meaning = {};
  bool required = false;
};

struct CommandHelp {
  std::string name;  ///< empty: what overlayd takes in front of a command
  std::string meaning;
  std::vector<OptionHelp> options = {};
};

/// All that can be parsed, for whoever writes or checks documents about it.
std::vector<CommandHelp> command_help();

}  // namespace overlayd
