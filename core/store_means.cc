// SPDX-License-Identifier: Apache-2.0
#include "core/store_means.h"

#include <fcntl.h>
#include <sys/statvfs.h>

#include "core/error.h"
#include "core/filesystem.h"
#include "core/layer_quotas.h"
#include "core/layout.h"
#include "core/overlay_support.h"
#include "core/sys.h"

namespace overlayd {
namespace {

void add_space(int home, StoreMeans& means) {
  struct statvfs info {};
  if (sys::retry_eintr([&] { return ::fstatvfs(home, &info); }) != 0) {
    throw_errno([] { return "ask for the space on the disk"; });
  }
  means.bytes = uint64_t{info.f_blocks} * info.f_frsize;
  means.free_bytes = uint64_t{info.f_bavail} * info.f_frsize;
  means.inodes = info.f_files;
  means.free_inodes = info.f_favail;
}

// As a start on a full disk does it, which writes nothing.
void add_mount_method(int home, StoreMeans& means) {
  if (!sys::try_fstatat(home, layout::kTrashDirectory)) {
    means.mount_reason = "overlayd has not served it yet";
    return;
  }
  try {
    means.mount_method = probe_overlay_on_full_disk(home, layout::kLinkDirectory,
                                                    layout::kTrashDirectory, MountMethod::Auto)
                             .method;
  } catch (const Error& error) {
    means.mount_reason = error.what();
  }
}

}  // namespace

StoreMeans find_store_means(const std::filesystem::path& home) {
  const UniqueFd fd = sys::openat(AT_FDCWD, home, O_RDONLY | O_DIRECTORY);
  StoreMeans means{.filesystem = filesystem_name(fd.get()),
                   .commit = choose_commit_method(Durability::Strict, fd.get()),
                   .mount_method = std::nullopt,
                   .mount_reason = {},
                   .quota_obstacle = {}};
  add_space(fd.get(), means);
  add_mount_method(fd.get(), means);
  means.quota_obstacle = obstacle_to_limits(fd.get()).value_or("");
  return means;
}

}  // namespace overlayd
