// SPDX-License-Identifier: Apache-2.0
#include "tests/support/root_sandbox.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>

#include <chrono>
#include <thread>

#include <doctest/doctest.h>

#include "core/error.h"
#include "core/mount.h"
#include "core/mountinfo.h"
#include "core/sys.h"

namespace overlayd::test {
namespace {

size_t count_entries(const char* directory) {
  return sys::list_directory(sys::open_path_dir(AT_FDCWD, directory).get()).size();
}

}  // namespace

void enter_mount_namespace() {
  static bool entered = false;
  if (entered) return;
  if (::unshare(CLONE_NEWNS) != 0) {
    throw_errno(
        [] { return std::string("enter a mount namespace (run the integration tests as root)"); });
  }
  // What is mounted here must not appear outside.
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    throw_errno([] { return std::string("make all mounts private"); });
  }
  entered = true;
}

size_t count_open_fds() { return count_entries("/proc/self/fd"); }

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

size_t count_threads(size_t expected) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  for (;;) {
    const size_t count = count_entries("/proc/self/task");
    if (count == expected || std::chrono::steady_clock::now() > deadline) return count;
    std::this_thread::yield();
  }
}

namespace {

// One, or two with a sanitizer that keeps a thread of its own from the first thread on.
size_t usual_threads() {
  static const size_t count = [] {
    std::thread([] {}).join();
    return count_threads(1);
  }();
  return count;
}

}  // namespace

RootSandbox::RootSandbox() {
  enter_mount_namespace();
  threads_ = usual_threads();
  mount_classic("sandbox", path(), "tmpfs", 0, "mode=0755");
  fd_ = sys::open_path_dir(AT_FDCWD, path());
  fds_ = count_open_fds();
}

RootSandbox::~RootSandbox() {
  try {
    check_nothing_left();
    fd_.reset();
    unmount_lazily(AT_FDCWD, path());
  } catch (const Error& error) {
    FAIL_CHECK("cleaning up the sandbox: " << error.what());
  }
}

void RootSandbox::check_nothing_left() const {
  for (const MountEntry& entry : read_mountinfo()) {
    CHECK_MESSAGE(!entry.mount_point.starts_with(path() + "/"),
                  "left mounted: " << entry.mount_point);
  }
  CHECK(count_open_fds() == fds_);
  CHECK(count_threads(threads_) == threads_);
}

}  // namespace overlayd::test
