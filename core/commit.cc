// SPDX-License-Identifier: Apache-2.0
#include "core/commit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

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

constexpr size_t kMaxSysFile = 4096;  // a page

// With data=journal, writing a file back only puts its data into the journal. The mount table does
// not show it where it is the file system's own default.
bool ext4_has_ordered_journal(dev_t device) {
  const auto link =
      sys::try_readlinkat(AT_FDCWD, "/sys/dev/block/" + std::to_string(major(device)) + ":" +
                                        std::to_string(minor(device)));
  if (!link) return false;
  const std::string name = link->substr(link->rfind('/') + 1);
  const auto task =
      sys::try_read_file(AT_FDCWD, "/sys/fs/ext4/" + name + "/journal_task", kMaxSysFile);
  const auto options =
      sys::try_read_file(AT_FDCWD, "/proc/fs/ext4/" + name + "/options", kMaxSysFile);
  return task && !task->starts_with("<none>") && options &&
         options->find("data=journal") == std::string::npos;
}

bool has_ordered_journal(int fd) {
  const std::string name = filesystem_name(fd);
  if (name == "xfs") return true;
  if (name != "extfs") return false;  // which is ext2 and ext3, too: with one driver for all
  return ext4_has_ordered_journal(sys::fstat(fd).st_dev);
}

}  // namespace

CommitMethod choose_commit_method(Durability durability, int fd) {
  if (durability == Durability::None) return CommitMethod::None;
  const bool targeted = durability == Durability::Strict && has_ordered_journal(fd);
  return targeted ? CommitMethod::Targeted : CommitMethod::Syncfs;
}

void Commit::start_writing(int file) { write_range(file, SYNC_FILE_RANGE_WRITE); }

void Commit::finish_writing(int file) {
  write_range(file,
              SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
}

void Commit::before_showing(int directory) const {
  if (method_ == CommitMethod::Syncfs) sync_file_system(directory);
}

void Commit::operator()(int directory) const {
  switch (method_) {
    case CommitMethod::None: return;
    case CommitMethod::Syncfs: sync_file_system(directory); return;
    case CommitMethod::Targeted:
      if (sys::retry_eintr([&] { return ::fsync(directory); }) != 0) {
        throw_errno([] { return "sync a directory"; });
      }
  }
}

}  // namespace overlayd
