// SPDX-License-Identifier: Apache-2.0
#include "core/commit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <chrono>
#include <utility>

#include "core/error.h"
#include "core/filesystem.h"
#include "core/sys.h"

namespace overlayd {
namespace {

void write_range(int file, unsigned flags) {
  // No end is the end of the file.
  if (sys::retry_eintr([&] { return ::sync_file_range(file, 0, 0, flags); }) != 0) {
    throw_errno([] { return "write a file back"; });
  }
}

void sync_file_system(int fd) {
  if (sys::retry_eintr([&] { return ::syncfs(fd); }) != 0) {
    throw_errno([] { return "sync the file system"; });
  }
}

void sync_directory(int fd) {
  if (sys::retry_eintr([&] { return ::fsync(fd); }) != 0) {
    throw_errno([] { return "sync a directory"; });
  }
}

constexpr size_t kMaxSysFile = 4096;  // a page

CommitChoice targeted(std::string reason) { return {CommitMethod::Targeted, std::move(reason)}; }
CommitChoice syncfs(std::string reason) { return {CommitMethod::Syncfs, std::move(reason)}; }

// With data=journal, writing a file back only puts its data into the journal. The mount table does
// not show it where it is the file system's own default.
CommitChoice choose_for_ext4(dev_t device) {
  const auto link =
      sys::try_readlinkat(AT_FDCWD, "/sys/dev/block/" + std::to_string(major(device)) + ":" +
                                        std::to_string(minor(device)));
  if (!link) return syncfs("the block device does not show in /sys");
  const std::string name = link->substr(link->rfind('/') + 1);
  const auto task =
      sys::try_read_file(AT_FDCWD, "/sys/fs/ext4/" + name + "/journal_task", kMaxSysFile);
  const auto options =
      sys::try_read_file(AT_FDCWD, "/proc/fs/ext4/" + name + "/options", kMaxSysFile);
  if (!task || !options) return syncfs("no ext4 shows in /sys and /proc");
  if (task->starts_with("<none>")) return syncfs("ext4 without a journal");
  if (options->find("data=journal") != std::string::npos) return syncfs("ext4 with data=journal");
  return targeted("ext4 with a journal");
}

CommitChoice choose_for_strict(int fd) {
  const std::string name = filesystem_name(fd);
  if (name == "xfs") return targeted("xfs");
  // Which is ext2 and ext3, too: with one driver for all.
  if (name == "extfs") return choose_for_ext4(sys::fstat(fd).st_dev);
  return syncfs("nothing is known of a journal in order on file system type " + quoted(name));
}

}  // namespace

CommitChoice choose_commit_method(Durability durability, int fd) {
  switch (durability) {
    case Durability::None: return {CommitMethod::None, "as asked for"};
    case Durability::Syncfs: return syncfs("as asked for");
    case Durability::Strict: break;
  }
  return choose_for_strict(fd);
}

void Commit::start_writing(int file) { write_range(file, SYNC_FILE_RANGE_WRITE); }

void Commit::finish_writing(int file) {
  write_range(file,
              SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
}

template <typename Sync>
void Commit::timed(const Sync& sync) const {
  const auto begin = std::chrono::steady_clock::now();
  sync();
  if (observer_ != nullptr) observer_->committed(std::chrono::steady_clock::now() - begin);
}

void Commit::before_showing(int directory) const {
  if (method_ == CommitMethod::Syncfs) timed([&] { sync_file_system(directory); });
}

void Commit::operator()(int directory) const {
  switch (method_) {
    case CommitMethod::None: return;
    case CommitMethod::Syncfs: return timed([&] { sync_file_system(directory); });
    case CommitMethod::Targeted: return timed([&] { sync_directory(directory); });
  }
}

}  // namespace overlayd
