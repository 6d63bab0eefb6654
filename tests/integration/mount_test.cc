// SPDX-License-Identifier: Apache-2.0
#include "core/mount.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <filesystem>
#include <stdexcept>

#include <doctest/doctest.h>

#include "core/error.h"
#include "core/mountinfo.h"
#include "core/overlay.h"
#include "core/sys.h"
#include "tests/integration/overlay_fixture.h"
#include "tests/support/root_sandbox.h"

namespace overlayd::test {
namespace {

// A process whose root directory is `path`, for as long as the scope.
class RootedProcess {
 public:
  explicit RootedProcess(const std::string& path) {
    int ready[2];
    int stop[2];
    REQUIRE(::pipe2(ready, O_CLOEXEC) == 0);
    REQUIRE(::pipe2(stop, O_CLOEXEC) == 0);
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) be_rooted(path.c_str(), ready[1], stop[0], stop[1]);
    ::close(ready[1]);
    ::close(stop[0]);
    stop_.reset(stop[1]);
    char byte = 0;
    CHECK(::read(ready[0], &byte, 1) == 1);
    ::close(ready[0]);
  }
  ~RootedProcess() {
    stop_.reset();
    int status = 0;
    CHECK(::waitpid(pid_, &status, 0) == pid_);
    CHECK(status == 0);
  }
  RootedProcess(const RootedProcess&) = delete;
  RootedProcess& operator=(const RootedProcess&) = delete;

 private:
  [[noreturn]] static void be_rooted(const char* path, int ready, int stop, int stop_writer) {
    ::close(stop_writer);
    char byte = 'x';
    if (::chroot(path) != 0 || ::write(ready, &byte, 1) != 1) ::_exit(1);
    ::_exit(::read(stop, &byte, 1) == 0 ? 0 : 1);
  }

  pid_t pid_ = -1;
  UniqueFd stop_;
};

TEST_SUITE("mount") {
  TEST_CASE_FIXTURE(RootSandbox, "a detached mount vanishes unless it is attached") {
    make_dirs(fd(), "from");
    make_dirs(fd(), "to");
    put_file(fd(), "from/file", "text");
    const UniqueFd from = sys::open_path_dir(fd(), "from");
    const size_t mounts = read_mountinfo().size();
    {
      const DetachedMount detached = clone_read_only(from.get());
      CHECK(content_of(detached.fd(), "file") == "text");
      CHECK(read_mountinfo().size() == mounts);
    }
    clone_read_only(from.get()).attach(fd(), "to");
    CHECK(read_mountinfo().size() == mounts + 1);
    CHECK(content_of(fd(), "to/file") == "text");
    CHECK(unmount_lazily(fd(), "to"));
    CHECK(!sys::try_fstatat(fd(), "to/file"));
  }

  TEST_CASE_FIXTURE(RootSandbox, "attaching neither follows a symlink nor covers a file") {
    make_dirs(fd(), "dir");
    put_file(fd(), "file", "");
    sys::symlinkat("dir", fd(), "link");
    const UniqueFd dir = sys::open_path_dir(fd(), "dir");
    DetachedMount detached = clone_read_only(dir.get());
    for (const char* target : {"absent", "file", "link"}) {
      CAPTURE(target);
      CHECK_THROWS_AS(detached.attach(fd(), target), SysError);
      CHECK(!is_mount_point(fd(), target));
    }
    detached.attach(fd(), "dir");
    CHECK(unmount_lazily(fd(), "dir"));
  }

  TEST_CASE_FIXTURE(RootSandbox,
                    "mount points are told from directories, symlinks and absent names") {
    make_dirs(fd(), "dir/below");
    put_file(fd(), "file", "");
    sys::symlinkat("dir", fd(), "link");
    mount_classic("test", path() + "/dir", "tmpfs", 0);
    CHECK(is_mount_point(fd(), "dir"));
    CHECK(is_mount_point(fd(), "."));
    CHECK(!is_mount_point(fd(), "link"));
    CHECK(!is_mount_point(fd(), "file"));
    CHECK(!is_mount_point(fd(), "file/below"));
    CHECK(!is_mount_point(fd(), "absent"));
    CHECK(unmount_lazily(fd(), "dir"));
    CHECK(!is_mount_point(fd(), "dir"));
    CHECK(!is_mount_point(fd(), "dir/below"));
  }

  TEST_CASE_FIXTURE(RootSandbox,
                    "unmounting takes the topmost mount and says whether there was one") {
    make_dirs(fd(), "dir");
    sys::symlinkat("dir", fd(), "link");
    CHECK(!unmount_lazily(fd(), "dir"));
    CHECK(!unmount_lazily(fd(), "absent"));
    CHECK(!unmount_lazily(fd(), "absent/below"));
    mount_classic("one", path() + "/dir", "tmpfs", 0);
    mount_classic("two", path() + "/dir", "tmpfs", 0);
    CHECK(!unmount_lazily(fd(), "link"));
    CHECK(unmount_lazily(fd(), "dir"));
    CHECK(is_mount_point(fd(), "dir"));
    CHECK(unmount_lazily(fd(), "dir"));
    CHECK(!unmount_lazily(fd(), "dir"));
  }

  TEST_CASE_FIXTURE(RootSandbox,
                    "a mount in use goes from the tree at once and stays for its user") {
    make_dirs(fd(), "dir");
    mount_classic("test", path() + "/dir", "tmpfs", 0);
    put_file(fd(), "dir/file", "text");
    const UniqueFd user = sys::open_path_dir(fd(), "dir");
    CHECK(unmount_lazily(fd(), "dir"));
    CHECK(!is_mount_point(fd(), "dir"));
    CHECK(content_of(user.get(), "file") == "text");
  }

  TEST_CASE_FIXTURE(RootSandbox,
                    "work in a directory moves no other thread, and its error comes back") {
    const auto before = std::filesystem::current_path();
    std::string inside;
    run_in_directory(fd(), [&] { inside = std::filesystem::current_path(); });
    CHECK(inside == path());
    CHECK(std::filesystem::current_path() == before);
    CHECK_THROWS_WITH_AS(run_in_directory(fd(), [] { throw std::logic_error("mine"); }), "mine",
                         std::logic_error);
    CHECK_THROWS_AS(run_in_directory(-1, [] {}), SysError);
    CHECK(std::filesystem::current_path() == before);
  }

  TEST_CASE_FIXTURE(RootSandbox, "the kernel's explanations are read off a context once") {
    // Overlayfs itself explains nothing before Linux 6.5.
    const UniqueFd context(::fsopen("tmpfs", FSOPEN_CLOEXEC));
    REQUIRE(context);
    CHECK(read_context_messages(context.get()).empty());
    CHECK(::fsconfig(context.get(), FSCONFIG_SET_STRING, "no-such-option", "1", 0) == -1);
    CHECK(read_context_messages(context.get()).find("no-such-option") != std::string::npos);
    CHECK(read_context_messages(context.get()).empty());
  }

  TEST_CASE_FIXTURE(RootSandbox, "a process with its root on an overlay is found") {
    const OverlaySpec spec = make_layers(fd(), 2);
    make_dirs(fd(), "0/diff/sub");
    mount_overlay(fd(), spec, "merged", probe_overlay(fd(), MountMethod::Auto));
    const struct stat root = sys::fstatat(fd(), "merged");
    CHECK(!any_process_rooted_in(root.st_dev));
    {
      const RootedProcess process(path() + "/merged/sub");
      CHECK(any_process_rooted_in(root.st_dev));
      CHECK(!any_process_rooted_in(root.st_dev, root.st_ino));
      CHECK(!any_process_rooted_in(sys::fstat(fd()).st_dev));
    }
    CHECK(!any_process_rooted_in(root.st_dev));
    CHECK(unmount_lazily(fd(), "merged"));
  }

  TEST_CASE_FIXTURE(RootSandbox, "a process with its root on a bind mount is found by the inode") {
    const OverlaySpec spec = read_only(make_layers(fd(), 1));
    mount_overlay(fd(), spec, "merged", probe_overlay(fd(), MountMethod::Auto));
    const struct stat root = sys::fstatat(fd(), "merged");
    const RootedProcess elsewhere(path());
    CHECK(any_process_rooted_in(root.st_dev));
    CHECK(!any_process_rooted_in(root.st_dev, root.st_ino));
    {
      const RootedProcess process(path() + "/merged");
      CHECK(any_process_rooted_in(root.st_dev, root.st_ino));
    }
    CHECK(unmount_lazily(fd(), "merged"));
  }
}

}  // namespace
}  // namespace overlayd::test
