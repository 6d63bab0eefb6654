// SPDX-License-Identifier: Apache-2.0
#include "core/beneath.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "core/error.h"

namespace overlayd {

UniqueFd try_open_directory_beneath(int root, const std::string& path) {
  open_how how{};
  how.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  for (;;) {
    UniqueFd fd(static_cast<int>(
        ::syscall(SYS_openat2, root, path.empty() ? "." : path.c_str(), &how, sizeof how)));
    if (fd || errno == ENOENT || errno == ENOTDIR || errno == ELOOP) return fd;
    // EAGAIN: something was renamed somewhere while ".." was being resolved; the answer is to ask
    // again.
    if (errno != EINTR && errno != EAGAIN) throw_errno("open directory", path);
  }
}

}  // namespace overlayd
