// SPDX-License-Identifier: Apache-2.0
#include "plugin/move_record.h"

#include <fcntl.h>

#include <span>

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/sys.h"

namespace overlayd {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kRecord = "overlayd-move.json";
constexpr size_t kMaxRecord = 64 * 1024;
constexpr Direction kDirections[] = {Direction::Adopt, Direction::Release};

MoveRecord decode(const std::string& text) {
  try {
    const Json json = Json::parse(text);
    for (const Direction direction : kDirections) {
      if (json.at("move") == to_string(direction)) {
        return {.direction = direction, .driver = json.at("driver"), .home = json.at("home")};
      }
    }
  } catch (const Json::exception&) {
    // Said below.
  }
  throw Error(ErrorKind::Corrupt, quoted(kRecord) + " is no record of a move: " + quoted(text));
}

}  // namespace

std::string_view to_string(Direction direction) {
  return direction == Direction::Adopt ? "adopt" : "release";
}

std::optional<MoveRecord> read_move_record(int root) {
  const auto text = sys::try_read_file(root, kRecord, kMaxRecord);
  return text ? std::optional(decode(*text)) : std::nullopt;
}

void write_move_record(int root, const MoveRecord& record, const Commit& commit) {
  const Json json = {
      {"move", to_string(record.direction)}, {"driver", record.driver}, {"home", record.home}};
  const std::string text = json.dump() + "\n", beside = std::string(kRecord) + sys::kUnfinished;
  {
    const UniqueFd file =
        sys::openat(root, beside, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
    sys::write_full(file.get(), std::as_bytes(std::span(text)));
    if (commit.needs_data()) commit.finish_writing(file.get());
  }
  commit.before_showing(root);
  sys::renameat(root, beside, root, kRecord);
  commit(root);
}

void remove_move_record(int root, const Commit& commit) {
  sys::unlinkat(root, std::string(kRecord) + sys::kUnfinished, 0);
  sys::unlinkat(root, kRecord, 0);
  commit(root);
}

void check_not_being_moved(const std::filesystem::path& home) {
  const std::filesystem::path record = home.parent_path() / kRecord;
  if (!sys::try_fstatat(AT_FDCWD, record)) return;
  throw Error(ErrorKind::Busy, "a move between drivers was interrupted, as " +
                                   quoted(record.native()) +
                                   " says: run `overlayd adopt` or `overlayd release` again");
}

}  // namespace overlayd
