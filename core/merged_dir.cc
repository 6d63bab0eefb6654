// SPDX-License-Identifier: Apache-2.0
#include "core/merged_dir.h"

#include <fcntl.h>

#include <algorithm>
#include <unordered_set>

#include "core/error.h"
#include "core/sys.h"
#include "core/whiteout.h"

namespace overlayd {

MergedDir::MergedDir(std::vector<UniqueFd> layers) : MergedDir(std::move(layers), false) {}

MergedDir::MergedDir(std::vector<UniqueFd> column, bool opaque)
    : column_(std::move(column)), opaque_(opaque) {}

bool MergedDir::Entry::is_whiteout() const { return whiteout::is_whiteout(info); }

std::vector<MergedDir::Entry> MergedDir::list() const {
  std::vector<Entry> entries;
  std::unordered_set<std::string> seen;
  for (size_t layer = 0; layer < column_.size(); ++layer) {
    const int dirfd = column_[layer].get();
    for (sys::DirEntry& found : sys::list_directory(dirfd)) {
      if (column_.size() > 1 && !seen.insert(found.name).second) continue;
      const auto info = sys::try_fstatat(dirfd, found.name);
      if (!info) continue;
      entries.push_back({std::move(found.name), dirfd, layer, *info});
    }
  }
  if (column_.size() > 1) {
    std::sort(entries.begin(), entries.end(),
              [](const Entry& a, const Entry& b) { return a.name < b.name; });
  }
  return entries;
}

std::optional<MergedDir::Entry> MergedDir::find(const std::string& name) const {
  for (size_t layer = 0; layer < column_.size(); ++layer) {
    const int dirfd = column_[layer].get();
    if (const auto info = sys::try_fstatat(dirfd, name)) {
      if (whiteout::is_whiteout(*info)) return std::nullopt;
      return Entry{name, dirfd, layer, *info};
    }
  }
  return std::nullopt;
}

MergedDir MergedDir::open(const Entry& directory) const {
  std::vector<UniqueFd> column;
  for (size_t layer = directory.layer; layer < column_.size(); ++layer) {
    const int dirfd = column_[layer].get();
    const auto info = sys::try_fstatat(dirfd, directory.name);
    if (!info) continue;
    if (!S_ISDIR(info->st_mode)) return MergedDir(std::move(column), true);
    column.push_back(sys::openat(dirfd, directory.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    if (whiteout::is_opaque({dirfd, directory.name})) return MergedDir(std::move(column), true);
  }
  if (column.empty()) throw SysError(ENOENT, "open directory " + quoted(directory.name));
  return MergedDir(std::move(column), false);
}

}  // namespace overlayd
