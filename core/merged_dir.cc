// SPDX-License-Identifier: Apache-2.0
#include "core/merged_dir.h"

#include <dirent.h>
#include <fcntl.h>

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "core/error.h"
#include "core/sys.h"
#include "core/whiteout.h"
#include "core/xattr.h"

namespace overlayd {

MergedDir::MergedDir(std::vector<UniqueFd> layers) : MergedDir(std::move(layers), false) {}

MergedDir::MergedDir(std::vector<UniqueFd> column, bool opaque)
    : column_(std::move(column)), opaque_(opaque) {}

MergedDir::Entry::Entry(std::string name, int dirfd, size_t layer, mode_t type)
    : name_(std::move(name)), dirfd_(dirfd), layer_(layer), type_(type) {}

MergedDir::Entry::Entry(std::string name, int dirfd, size_t layer, const struct stat& info)
    : Entry(std::move(name), dirfd, layer, info.st_mode & S_IFMT) {
  info_ = info;
}

bool MergedDir::Entry::is_whiteout() const {
  if (!S_ISCHR(type_)) return false;
  const struct stat* const found = try_info();
  return found != nullptr && whiteout::is_whiteout(*found);
}

const struct stat& MergedDir::Entry::info() const {
  if (!info_) info_ = sys::fstatat(dirfd_, name_);
  return *info_;
}

const struct stat* MergedDir::Entry::try_info() const {
  if (!info_) info_ = sys::try_fstatat(dirfd_, name_);
  return info_ ? &*info_ : nullptr;
}

std::vector<MergedDir::Entry> MergedDir::list(sys::Order order) const {
  std::vector<Entry> entries;
  std::unordered_set<std::string> seen;
  const bool again = std::exchange(listed_, true);
  for (size_t layer = 0; layer < column_.size(); ++layer) {
    const int dirfd = column_[layer].get();
    std::vector<sys::DirEntry> listed =
        again ? sys::list_directory(dirfd, order) : sys::list_fresh_directory(dirfd, order);
    entries.reserve(entries.size() + listed.size());
    for (sys::DirEntry& found : listed) {
      if (column_.size() > 1 && !seen.insert(found.name).second) continue;
      if (found.type != DT_UNKNOWN) {
        entries.emplace_back(std::move(found.name), dirfd, layer, DTTOIF(found.type));
      } else if (const auto info = sys::try_fstatat(dirfd, found.name)) {
        entries.emplace_back(std::move(found.name), dirfd, layer, *info);
      }
    }
  }
  if (column_.size() > 1 && order == sys::Order::ByName) {
    std::sort(entries.begin(), entries.end(),
              [](const Entry& a, const Entry& b) { return a.name() < b.name(); });
  }
  return entries;
}

std::optional<MergedDir::Entry> MergedDir::find(const std::string& name) const {
  for (size_t layer = 0; layer < column_.size(); ++layer) {
    const int dirfd = column_[layer].get();
    if (const auto info = sys::try_fstatat(dirfd, name)) {
      if (whiteout::is_whiteout(*info)) return std::nullopt;
      return Entry(name, dirfd, layer, *info);
    }
  }
  return std::nullopt;
}

MergedDir MergedDir::open(const Entry& directory) const {
  const std::string& name = directory.name();
  MergedDir inside({}, false);
  for (size_t layer = directory.layer(); layer < column_.size(); ++layer) {
    const int dirfd = column_[layer].get();
    UniqueFd fd(sys::retry_eintr([&] {
      return ::openat(dirfd, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    }));
    if (!fd && errno == ENOENT) continue;
    if (!fd && !inside.column_.empty() && (errno == ENOTDIR || errno == ELOOP)) {
      inside.opaque_ = true;
      return inside;
    }
    if (!fd) throw_errno("open directory", name);
    with_context([&] { return quoted(name); }, [&] { inside.add(std::move(fd)); });
    if (inside.opaque_) return inside;
  }
  if (inside.column_.empty()) throw SysError(ENOENT, "open directory " + quoted(name));
  return inside;
}

void MergedDir::add(UniqueFd fd) {
  std::vector<std::string> xattrs = xattr::list({fd.get(), ""});
  opaque_ = whiteout::is_opaque({fd.get(), ""}, xattrs);
  if (column_.empty()) nearest_xattrs_ = std::move(xattrs);
  column_.push_back(std::move(fd));
}

}  // namespace overlayd
