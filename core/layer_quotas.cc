// SPDX-License-Identifier: Apache-2.0
#include "core/layer_quotas.h"

#include <fcntl.h>

#include <algorithm>
#include <cstdint>

#include "core/error.h"
#include "core/layout.h"
#include "core/scope_exit.h"
#include "core/sys.h"

namespace overlayd {
namespace {

/// What a mount adds to a layer: its mount point, and what overlayfs makes and tries in `work`.
constexpr QuotaLimits kRoom{.bytes = uint64_t{1} << 20, .inodes = 64};

UniqueFd try_open_to_read(int dirfd, const std::string& path) {
  return sys::try_openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

QuotaLimits with_room_in(const ProjectUsage& usage) {
  QuotaLimits limits = usage.limits;
  if (limits.bytes != 0) limits.bytes = std::max(limits.bytes, usage.bytes) + kRoom.bytes;
  if (limits.inodes != 0) limits.inodes = std::max(limits.inodes, usage.inodes) + kRoom.inodes;
  return limits;
}

// A project that the directory, open for reading, has for itself, and not from where it lies.
std::optional<ProjectId> own_project(int directory) {
  const ProjectMark mark = project_of(directory);
  if (mark.id == 0 || !mark.is_handed_down) return std::nullopt;
  const UniqueFd around = sys::openat(directory, "..", O_RDONLY | O_DIRECTORY);
  return mark == project_of(around.get()) ? std::nullopt : std::optional(mark.id);
}

}  // namespace

void LayerQuotas::require() const {
  if (const auto why = obstacle_to_limits(home_)) {
    throw Error(ErrorKind::Unsupported, "layers cannot be limited here: " + *why);
  }
}

void LayerQuotas::limit(int directory, const QuotaLimits& limits) {
  const std::lock_guard lock(mutex_);
  // Marked first: another store's claim sees that somebody is there.
  const ProjectId id = claim(directory);
  limit_project(home_, id, limits);
}

ProjectId LayerQuotas::claim(int directory) {
  const ProjectUsage nothing;
  for (uint64_t left = uint64_t{range_.last} - range_.first + 1; left > 0; --left) {
    const ProjectId id = next_;
    next_ = id == range_.last ? range_.first : id + 1;
    if (usage_of_project(home_, id) != nothing) continue;
    set_project(directory, id);
    const ProjectUsage usage = usage_of_project(home_, id);
    if (usage.inodes == 1 && !usage.limits.any()) return id;  // nobody else has come meanwhile
  }
  throw Error(ErrorKind::NoSpace, "every project id from " + std::to_string(range_.first) + " to " +
                                      std::to_string(range_.last) +
                                      " is taken; overlayd.project_ids says which there are");
}

void LayerQuotas::with_room(const std::string& directory, const std::function<void()>& work) {
  std::optional<ProjectId> id;
  try {
    return work();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::NoSpace) throw;
    id = own_project(sys::open_directory(home_, directory).get());
    if (!id) throw;
  }
  const ProjectUsage usage = usage_of_project(home_, *id);
  limit_project(home_, *id, with_room_in(usage));
  const ScopeExit lower([&] {
    try {
      limit_project(home_, *id, usage.limits);
    } catch (const Error&) {
      // They stay a little higher, which is no worse than a kill.
    }
  });
  work();
}

std::optional<std::string> obstacle_to_limits(int home) {
  if (auto obstacle = obstacle_to_project_quotas(home)) return obstacle;
  // Where marks are handed down, nothing with another one can be moved to.
  for (const char* directory : {".", layout::kStagingDirectory, layout::kTrashDirectory}) {
    const UniqueFd fd = try_open_to_read(home, directory);
    const ProjectMark mark = fd ? project_of(fd.get()) : ProjectMark{};
    if (!mark.is_handed_down) continue;
    return "directory " + quoted(directory) + " of the store is itself in project " +
           std::to_string(mark.id) + " and hands that down; chattr -P takes that from it";
  }
  return std::nullopt;
}

void share_project(int from, int to) {
  const ProjectMark mark = project_of(from);
  if (mark.is_handed_down && mark != project_of(to)) set_project(to, mark.id);
}

std::optional<LayerQuota> quota_of_layer(int dirfd, const std::string& name) {
  const UniqueFd directory = try_open_to_read(dirfd, name);
  if (!directory) return std::nullopt;
  const auto id = own_project(directory.get());
  if (!id || obstacle_to_project_quotas(directory.get())) return std::nullopt;
  return LayerQuota{.project = *id, .usage = usage_of_project(directory.get(), *id)};
}

void release_project(int dirfd, const std::string& name) {
  const auto quota = quota_of_layer(dirfd, name);
  if (!quota || !quota->usage.limits.any()) return;
  limit_project(sys::open_directory(dirfd, name).get(), quota->project, {});
}

}  // namespace overlayd
