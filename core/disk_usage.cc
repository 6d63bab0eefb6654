// SPDX-License-Identifier: Apache-2.0
#include "core/disk_usage.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/sys.h"
#include "core/unique_fd.h"

namespace overlayd {
namespace {

constexpr uint64_t kBlock = 512;  // of st_blocks, whatever the file system's are

// walk_directories() is for trees that stay: it fails when a directory vanishes, and asks each for
// attributes that do not matter here.
class UsageWalk {
 public:
  explicit UsageWalk(const std::function<void(const DiskUsage&)>& progress) : progress_(progress) {}

  DiskUsage run(int dirfd, const std::string& path) {
    add(std::make_shared<const UniqueFd>(
            sys::try_openat(dirfd, path.empty() ? "." : path, O_PATH | O_NOFOLLOW)),
        "");
    while (!steps_.empty()) {
      const Step step = std::move(steps_.back());
      steps_.pop_back();
      unless_unreadable([&] { visit(step); });
      if (progress_) progress_(usage_);
    }
    return usage_;
  }

 private:
  using SharedFd = std::shared_ptr<const UniqueFd>;

  /// A directory still to be listed: `name` in `above`, or without one `above` itself.
  struct Step {
    SharedFd above;
    std::string name;
  };

  template <typename Work>
  void unless_unreadable(Work work) {
    try {
      work();
    } catch (const SysError& error) {
      if (tells_of_want(error.errnum())) throw;
      if (error.errnum() != ENOENT) ++usage_.unread;  // which a removed directory says of its list
    }
  }

  static std::optional<struct statx> look(int dirfd, const std::string& name) {
    struct statx info {};
    constexpr int kFlags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH;
    if (::statx(dirfd, name.c_str(), kFlags, STATX_BASIC_STATS, &info) == 0) return info;
    if (errno == ENOENT) return std::nullopt;
    throw_errno("stat", name);
  }

  void add(const SharedFd& above, const std::string& name) {
    if (!*above) return;
    std::optional<struct statx> info;
    unless_unreadable([&] { info = look(above->get(), name); });
    if (!info) return;
    const std::pair device(info->stx_dev_major, info->stx_dev_minor);
    if (!device_) {
      device_ = device;
    } else if (device != *device_ || (info->stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0) {
      return;  // a mount, which may be one of the same file system
    }
    const bool is_directory = S_ISDIR(info->stx_mode);
    if (!is_directory && info->stx_nlink > 1 && !linked_.insert(info->stx_ino).second) return;
    usage_ += {.bytes = info->stx_blocks * kBlock, .inodes = 1};
    if (is_directory) steps_.push_back({above, name});
  }

  void visit(const Step& step) {
    const auto directory = std::make_shared<const UniqueFd>(
        sys::try_openat(step.above->get(), step.name.empty() ? "." : step.name,
                        O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    if (!*directory) return;
    for (const sys::DirEntry& entry :
         sys::list_fresh_directory(directory->get(), sys::Order::AsStored)) {
      add(directory, entry.name);
    }
  }

  const std::function<void(const DiskUsage&)>& progress_;
  std::vector<Step> steps_;  // the last one first, so that few directories are open
  std::set<uint64_t> linked_;
  std::optional<std::pair<uint32_t, uint32_t>> device_;
  DiskUsage usage_;
};

}  // namespace

DiskUsage disk_usage(int dirfd, const std::string& path,
                     const std::function<void(const DiskUsage&)>& progress) {
  return UsageWalk(progress).run(dirfd, path);
}

}  // namespace overlayd
