// SPDX-License-Identifier: Apache-2.0
#include "core/layer_files.h"

#include <dirent.h>
#include <fcntl.h>

#include <algorithm>
#include <array>
#include <span>
#include <string_view>

#include "core/error.h"
#include "core/layout.h"
#include "core/scope_exit.h"
#include "core/sys.h"

namespace overlayd {
namespace {

constexpr mode_t kLayerMode = 0710;    // container root may pass through, by group
constexpr mode_t kContentMode = 0755;  // becomes the root directory of containers
constexpr mode_t kPrivateMode = 0700;

// Of a new inode, owner and mode are changed only if they differ: a look is cheaper than a change.

UniqueFd make_directory(int dirfd, const std::string& name, mode_t mode, uid_t uid, gid_t gid) {
  if (!sys::mkdirat(dirfd, name, mode)) return {};
  ScopeExit unmake([&] { ::unlinkat(dirfd, name.c_str(), AT_REMOVEDIR); });
  UniqueFd fd = sys::open_directory(dirfd, name);
  const struct stat made = sys::fstat(fd.get());
  if (made.st_uid != uid || made.st_gid != gid) sys::fchown(fd.get(), uid, gid);
  unmake.dismiss();
  return fd;
}

UniqueFd write_new_file(int dirfd, const std::string& name, std::string_view content, mode_t mode) {
  UniqueFd fd = sys::openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
  if ((sys::fstat(fd.get()).st_mode & 07777) != mode) sys::fchmod(fd.get(), mode);
  sys::write_full(fd.get(), std::as_bytes(std::span(content.data(), content.size())));
  return fd;
}

// Something longer than `limit` is nothing of ours, and no more use than an empty file.
std::string read_small_file(int layer, const char* name, size_t limit) {
  const UniqueFd file = sys::openat(layer, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  std::array<char, layout::kMaxLowerFile + 1> text;  // of the longest there is
  const auto room = std::as_writable_bytes(std::span(text).first(limit + 1));
  // What is less than a page comes in one piece, and nobody need ask whether there is more.
  constexpr size_t kPage = 4096;
  return with_context([&] { return "read " + quoted(name); },
                      [&] {
                        size_t length = sys::read_some(file.get(), room);
                        if (length >= kPage) {
                          length += sys::read_full(file.get(), room.subspan(length));
                        }
                        return length > limit ? std::string() : std::string(text.data(), length);
                      });
}

bool is_unfinished(const sys::DirEntry& entry) {
  std::string_view name = entry.name;
  if (entry.type != DT_REG || !name.ends_with(sys::kUnfinished)) return false;
  name.remove_suffix(std::string_view(sys::kUnfinished).size());
  const auto ours = {layout::kLink, layout::kLower, layout::kCommitted, layout::kSize};
  return std::ranges::find(ours, name) != ours.end();
}

}  // namespace

std::optional<LayerContents> read_layer(int home, const LayerId& id) {
  const UniqueFd layer = sys::openat(home, id.str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  LayerContents found;
  bool link = false, lower = false;
  const std::pair<const char*, bool&> names[] = {
      {layout::kDiff, found.diff},       {layout::kLink, link},
      {layout::kLower, lower},           {layout::kWork, found.work},
      {layout::kMerged, found.merged},   {layout::kCommitted, found.committed},
      {layout::kRemoved, found.removed}, {layout::kPartial, found.partial},
      {layout::kSize, found.has_size},   {layout::kDigests, found.has_digests},
  };
  for (const sys::DirEntry& entry : sys::list_fresh_directory(layer.get())) {
    for (const auto& [name, is_there] : names) is_there = is_there || entry.name == name;
    if (is_unfinished(entry)) found.unfinished.push_back(entry.name);
  }
  if (!found.diff && !link) return std::nullopt;
  if (link) found.link = read_small_file(layer.get(), layout::kLink, layout::kLinkLength);
  if (lower) found.lower = read_small_file(layer.get(), layout::kLower, layout::kMaxLowerFile);
  if (found.has_size) {
    found.size =
        layout::parse_size(read_small_file(layer.get(), layout::kSize, layout::kMaxSizeFile));
  }
  return found;
}

std::vector<std::string> LayerRecord::lowers() const {
  return lower.empty() ? std::vector<std::string>() : layout::parse_lower(lower);
}

void stage_layer(int home, const std::string& directory, const LayerRecord& record,
                 const LayerOwner& owner, Commit commit,
                 const std::function<void(int directory)>& prepare) {
  const UniqueFd layer = make_directory(home, directory, kLayerMode, ::geteuid(), owner.root_gid);
  if (!layer) throw SysError(EEXIST, "make directory " + quoted(directory));
  if (prepare) prepare(layer.get());
  make_content_directory(layer.get(), layout::kDiff, owner);
  std::vector<UniqueFd> files;
  files.push_back(write_new_file(layer.get(), layout::kLink, record.link, 0644));
  if (!record.lower.empty()) {
    files.push_back(write_new_file(layer.get(), layout::kLower, record.lower, 0644));
    make_private_directory(layer.get(), layout::kWork, owner);
  }
  if (commit.needs_data()) {
    for (const UniqueFd& file : files) Commit::start_writing(file.get());
    for (const UniqueFd& file : files) Commit::finish_writing(file.get());
  }
  commit.before_showing(layer.get());
}

void make_content_directory(int dirfd, const std::string& name, const LayerOwner& owner) {
  if (!make_directory(dirfd, name, kContentMode, owner.root_uid, owner.root_gid)) {
    throw SysError(EEXIST, "make directory " + quoted(name));
  }
}

bool make_private_directory(int dirfd, const std::string& name, const LayerOwner& owner) {
  return static_cast<bool>(
      make_directory(dirfd, name, kPrivateMode, owner.root_uid, owner.root_gid));
}

bool mark_committed(int home, const LayerId& id) {
  const std::string path = layout::in_layer(id, layout::kCommitted);
  if (sys::try_fstatat(home, path)) return false;
  write_new_file(home, path, "", 0600);
  return true;
}

void unmark_committed(int home, const LayerId& id) {
  sys::unlinkat(home, layout::in_layer(id, layout::kSize), 0);
  sys::unlinkat(home, layout::in_layer(id, layout::kCommitted), 0);
}

// It is marked as committed, unless that was not possible, or was undone by somebody.
void mark_removed(int home, const LayerId& id) {
  const std::string path = layout::in_layer(id, layout::kRemoved);
  try {
    sys::renameat(home, layout::in_layer(id, layout::kCommitted), home, path, 0);
  } catch (const SysError& error) {
    if (error.errnum() != ENOENT) throw;
    ScopeExit unmark([&] { ::unlinkat(home, path.c_str(), 0); });
    write_new_file(home, path, "", 0600);
    unmark.dismiss();
  }
}

void record_size(int home, const LayerId& id, int64_t size) {
  sys::write_file_atomically(home, layout::in_layer(id, layout::kSize), layout::format_size(size),
                             0600);
}

}  // namespace overlayd
