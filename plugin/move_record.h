// SPDX-License-Identifier: Apache-2.0
//
// The record of a move between drivers that is under way (plugin/move.h), in the data root:
//
//   <root>/overlayd-move.json   {"move": "adopt", "driver": "overlayd", "home": "overlayd"}
//
// It is there from before the first change until after the last one, and survives a power cut. Any
// thread.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "core/commit.h"

namespace overlayd {

enum class Direction {
  Adopt,    ///< from the engine's own driver to overlayd
  Release,  ///< back
};
/// "adopt", "release".
std::string_view to_string(Direction direction);

struct MoveRecord {
  Direction direction;
  std::string driver;  ///< overlayd's name as a storage driver
  std::string home;    ///< overlayd's, relative to the root

  bool operator==(const MoveRecord&) const = default;
};

/// nullopt: no move is under way. Error(Corrupt) when there is a record that says nothing.
std::optional<MoveRecord> read_move_record(int root);
/// In place of one that may be there.
void write_move_record(int root, const MoveRecord& record, const Commit& commit);
void remove_move_record(int root, const Commit& commit);

/// Throws Error(Busy) when a move is under way in the data root that `home` lies in: it is not to
/// be served.
void check_not_being_moved(const std::filesystem::path& home);

}  // namespace overlayd
