// SPDX-License-Identifier: Apache-2.0
//
// Options: what the command line and the environment ask for.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <optional>

#include "core/durability.h"
#include "core/mount_method.h"
#include "core/store_check.h"
#include "plugin/log.h"

namespace overlayd {

struct ServeOptions {
  std::filesystem::path socket;     ///< absolute
  std::filesystem::path state_dir;  ///< absolute
  LogLevel log_level = LogLevel::Info;
  MountMethod mount_api = MountMethod::Auto;
  Durability durability = Durability::Strict;
};

struct CheckOptions {
  std::filesystem::path home;
  StoreCheckOptions store = {};
  bool json = false;
};

/// At most one of the commands; none: there is nothing to do but exit.
struct CommandLine {
  std::optional<ServeOptions> serve;
  std::optional<CheckOptions> check;
  int exit_code = 0;
};

/// Reads flags, then OVERLAYD_SOCKET, OVERLAYD_STATE_DIR, OVERLAYD_LOG_LEVEL, OVERLAYD_MOUNT_API
/// and OVERLAYD_DURABILITY for those not given. Help and version go to `out`, complaints to `err`.
CommandLine parse_command_line(int argc, const char* const* argv, std::ostream& out,
                               std::ostream& err);

}  // namespace overlayd
