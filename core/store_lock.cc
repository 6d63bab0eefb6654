// SPDX-License-Identifier: Apache-2.0
#include "core/store_lock.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>

#include "core/error.h"
#include "core/layout.h"
#include "core/sys.h"

namespace overlayd {
namespace {

bool try_lock(int fd) {
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return true;
  if (errno != EWOULDBLOCK) throw_errno("lock", layout::kLockFile);
  return false;
}

}  // namespace

UniqueFd lock_store(int home) {
  UniqueFd lock = sys::openat(home, layout::kLockFile, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
  if (!try_lock(lock.get())) throw Error(ErrorKind::Busy, "another process serves it");
  return lock;
}

bool is_store_served(int home) {
  const UniqueFd lock = sys::try_openat(home, layout::kLockFile, O_RDONLY | O_NOFOLLOW);
  return lock && !try_lock(lock.get());
}

}  // namespace overlayd
