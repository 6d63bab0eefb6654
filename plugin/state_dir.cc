// SPDX-License-Identifier: Apache-2.0
#include "plugin/state_dir.h"

#include <fcntl.h>
#include <sys/file.h>

#include "core/error.h"
#include "core/stream.h"
#include "core/sys.h"
#include "plugin/directories.h"

namespace overlayd {
namespace {

constexpr const char* kLock = "lock";
constexpr const char* kInit = "init.json";
constexpr const char* kInitTemporary = "init.json.new";
constexpr size_t kMaxInit = 1024 * 1024;  // as large as a request may be

UniqueFd open_or_make(const std::filesystem::path& path) {
  make_directories(path.parent_path(), 0755);
  sys::mkdirat(AT_FDCWD, path, 0700);
  return sys::openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
}

void sync(int fd, const char* name) {
  if (::fsync(fd) != 0) throw_errno("sync", name);
}

}  // namespace

StateDir::StateDir(const std::filesystem::path& path)
    : path_(path),
      dir_(open_or_make(path)),
      lock_(sys::openat(dir_.get(), kLock, O_RDWR | O_CREAT, 0600)) {
  if (::flock(lock_.get(), LOCK_EX | LOCK_NB) == 0) return;
  if (errno != EWOULDBLOCK) throw_errno("lock", path_.native());
  throw Error(ErrorKind::Busy,
              "state directory " + quoted(path_.native()) + " is in use by another overlayd");
}

std::optional<std::string> StateDir::read_init() const {
  return sys::try_read_file(dir_.get(), kInit, kMaxInit);
}

void StateDir::write_init(std::string_view content) {
  const UniqueFd file = sys::openat(dir_.get(), kInitTemporary, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  sys::write_full(file.get(), as_bytes(content));
  sync(file.get(), kInitTemporary);
  sys::renameat(dir_.get(), kInitTemporary, dir_.get(), kInit);
  sync(dir_.get(), path_.c_str());
}

}  // namespace overlayd
