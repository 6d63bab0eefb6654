// SPDX-License-Identifier: Apache-2.0
#include "plugin/propagation.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>

#include "core/mountinfo.h"

namespace overlayd {
namespace {

bool is_at_or_below(const std::string& path, const std::string& directory) {
  if (directory == "/") return true;
  return path.starts_with(directory) &&
         (path.size() == directory.size() || path[directory.size()] == '/');
}

// The field "shared:N" of the mount that `path` lies on; empty if it is not shared.
std::string peer_group(const std::string& path) {
  MountEntry deepest;
  for (MountEntry& entry : read_mountinfo()) {
    if (is_at_or_below(path, entry.mount_point) &&
        entry.mount_point.size() >= deepest.mount_point.size())
      deepest = std::move(entry);
  }
  for (const std::string& field : deepest.optional_fields)
    if (field.starts_with("shared:")) return field;
  return {};
}

}  // namespace

bool mounts_reach_others(const std::filesystem::path& directory) {
  const std::string group = peer_group(std::filesystem::weakly_canonical(directory).native());
  if (group.empty()) return true;
  bool looked = false;
  for (const auto& process : std::filesystem::directory_iterator("/proc")) {
    const std::string name = process.path().filename().native();
    if (!std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; })) continue;
    if (name == std::to_string(::getpid())) continue;
    // Empty for one that is gone, is no user's process or may not be looked at.
    std::ifstream file(process.path() / "mountinfo");
    const std::string table{std::istreambuf_iterator<char>(file), {}};
    if (table.find(' ' + group + ' ') != std::string::npos) return true;
    looked |= !table.empty();
  }
  return !looked;
}

}  // namespace overlayd
