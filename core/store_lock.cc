// SPDX-License-Identifier: Apache-2.0
#include "core/store_lock.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "core/error.h"
#include "core/layout.h"
#include "core/sys.h"

namespace overlayd {
namespace {

// How often, and how long, a server asks again: who only looks has the lock for microseconds.
constexpr int kTries = 40;
constexpr std::chrono::milliseconds kBetweenTries{5};

bool try_lock(int fd, int how) {
  if (::flock(fd, how | LOCK_NB) == 0) return true;
  if (errno != EWOULDBLOCK) throw_errno("lock", layout::kLockFile);
  return false;
}

}  // namespace

UniqueFd lock_store(int home) {
  UniqueFd lock = sys::openat(home, layout::kLockFile, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
  for (int i = 1; !try_lock(lock.get(), LOCK_EX); ++i) {
    if (i == kTries) throw Error(ErrorKind::Busy, "another process serves it");
    std::this_thread::sleep_for(kBetweenTries);
  }
  return lock;
}

bool is_store_served(int home) {
  const UniqueFd lock = sys::try_openat(home, layout::kLockFile, O_RDONLY | O_NOFOLLOW);
  // Shared, so that those who look do not take each other for a server.
  return lock && !try_lock(lock.get(), LOCK_SH);
}

}  // namespace overlayd
