// SPDX-License-Identifier: Apache-2.0
//
// What a move between drivers would do, and what stands in its way. Finding out changes nothing.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "plugin/engine_data.h"
#include "plugin/move_record.h"

namespace overlayd {

struct MoveOptions {
  Direction direction = Direction::Adopt;
  std::filesystem::path root = {};  ///< the engine's data root
  /// overlayd's name as a storage driver: "overlayd" or, of a managed plugin, "<name>:<tag>".
  std::optional<std::string> driver = std::nullopt;
  bool dry_run = false;
};

/// A driver, and where it has its things; relative to the data root.
struct DriverPlace {
  std::string driver, home, images;
};

struct MovePlan {
  Direction direction = Direction::Adopt;
  DriverPlace from = {}, to = {};
  std::optional<MoveRecord> interrupted = std::nullopt;  ///< a move, of either direction
  bool is_home_moved = false, are_images_moved = false;  ///< already
  size_t layers = 0, containers = 0;
  std::vector<std::string> warnings = {};   ///< what is no obstacle, a sentence each
  std::vector<std::string> obstacles = {};  ///< why it may not be done, a sentence each

  const DriverPlace& overlayd() const { return direction == Direction::Adopt ? to : from; }
  const std::string& home() const { return is_home_moved ? to.home : from.home; }
  const std::string& images() const { return are_images_moved ? to.images : from.images; }
};

/// Engines are to be kept off meanwhile. Throws NotFound when there is nothing to be moved,
/// InvalidArgument for what `options` may not say, SysError when something cannot be read.
MovePlan plan_move(const EngineData& data, const MoveOptions& options);

}  // namespace overlayd
