// SPDX-License-Identifier: Apache-2.0
#include "core/overlay.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/mount.h>
#include <sys/statfs.h>

#include <optional>

#include <doctest/doctest.h>

#include "core/error.h"
#include "core/mount.h"
#include "core/mountinfo.h"
#include "core/sys.h"
#include "core/whiteout.h"
#include "tests/integration/overlay_fixture.h"
#include "tests/support/root_sandbox.h"

namespace overlayd::test {
namespace {

// Mounts on "merged", and takes it away with the scope.
class Mounted {
 public:
  Mounted(int home, const OverlaySpec& spec, const OverlaySupport& support) : home_(home) {
    mount_overlay(home, spec, "merged", support);
  }
  ~Mounted() { CHECK(unmount_lazily(home_, "merged")); }
  Mounted(const Mounted&) = delete;
  Mounted& operator=(const Mounted&) = delete;

 private:
  int home_;
};

struct Failure {
  ErrorKind kind;
  std::string message;
};

// The error of a mount that must fail and leave nothing mounted; nullopt if it did not fail.
std::optional<Failure> failure_of(int home, const OverlaySpec& spec,
                                  const OverlaySupport& support) {
  std::optional<Failure> failure;
  try {
    mount_overlay(home, spec, "merged", support);
    unmount_lazily(home, "merged");
  } catch (const Error& error) {
    failure = Failure{error.kind(), error.what()};
  }
  CHECK(!is_mount_point(home, "merged"));
  return failure;
}

void check_refused(const std::optional<Failure>& failure, ErrorKind kind, const std::string& part) {
  REQUIRE(failure);
  CAPTURE(failure->message);
  CHECK(failure->kind == kind);
  CHECK(failure->message.find(part) != std::string::npos);
}

int errno_of_write(int dirfd, const std::string& path) {
  try {
    put_file(dirfd, path, "x");
    return 0;
  } catch (const SysError& error) {
    return error.errnum();
  }
}

MountEntry entry_of(const std::string& mount_point) {
  for (const MountEntry& entry : read_mountinfo()) {
    if (entry.mount_point == mount_point) return entry;
  }
  FAIL("not in the mount table: " << mount_point);
  return {};
}

TEST_SUITE("overlay") {
  TEST_CASE_FIXTURE(RootSandbox, "a writable mount shows all lowers, the nearest first") {
    for (const OverlaySupport& support : usable_methods(fd())) {
      for (const size_t lowers : {size_t{1}, size_t{20}, size_t{128}, size_t{500}}) {
        if (lowers > support.max_lowers) continue;
        CAPTURE(to_string(support.method));
        CAPTURE(lowers);
        const std::string name =
            std::string(to_string(support.method)) + "-" + std::to_string(lowers);
        make_dirs(fd(), name);
        const UniqueFd home = sys::open_path_dir(fd(), name);
        const OverlaySpec spec = make_layers(home.get(), lowers);
        const Mounted mounted(home.get(), spec, support);
        CHECK(content_of(home.get(), "merged/who") == "0");
        for (size_t i = 0; i < lowers; ++i) {
          REQUIRE(content_of(home.get(), "merged/" + std::to_string(i)) == std::to_string(i));
        }
        put_file(home.get(), "merged/who", "top");
        CHECK(content_of(home.get(), "top/diff/who") == "top");
        CHECK(content_of(home.get(), "0/diff/who") == "0");
      }
    }
  }

  TEST_CASE_FIXTURE(RootSandbox, "the upper wins and its whiteouts hide") {
    const OverlaySpec spec = make_layers(fd(), 3);
    put_file(fd(), "top/diff/who", "top");
    whiteout::make(sys::open_path_dir(fd(), "top/diff").get(), "1");
    for (const OverlaySupport& support : usable_methods(fd())) {
      CAPTURE(to_string(support.method));
      const Mounted mounted(fd(), spec, support);
      CHECK(content_of(fd(), "merged/who") == "top");
      CHECK(!sys::try_fstatat(fd(), "merged/1"));
      CHECK(content_of(fd(), "merged/2") == "2");
    }
  }

  TEST_CASE_FIXTURE(RootSandbox, "more lowers than the method takes are refused by number") {
    const OverlaySpec spec = make_layers(fd(), 501);
    for (const OverlaySupport& support : usable_methods(fd())) {
      CAPTURE(to_string(support.method));
      OverlaySpec over = spec;
      over.lowers.resize(support.max_lowers + 1);
      const std::string limit = std::to_string(support.max_lowers);
      check_refused(failure_of(fd(), over, support), ErrorKind::InvalidArgument,
                    "at most " + limit + " lower layers");
    }
  }

  TEST_CASE_FIXTURE(RootSandbox, "options that do not fit a page are refused with both sizes") {
    OverlaySpec spec = make_layers(fd(), 100, std::string(100, 'x'));
    for (size_t i = 0; i < spec.lowers.size(); ++i) {
      spec.lowers[i].path = std::string(100, 'x') + std::to_string(i) + "/diff";
    }
    check_refused(failure_of(fd(), spec, probe_overlay(fd(), MountMethod::Classic)),
                  ErrorKind::InvalidArgument, "100 lower layers need 1");
  }

  TEST_CASE_FIXTURE(RootSandbox, "a mount without an upper refuses writes") {
    for (const OverlaySupport& support : usable_methods(fd())) {
      for (const size_t lowers : {size_t{1}, size_t{2}, size_t{128}}) {
        CAPTURE(to_string(support.method));
        CAPTURE(lowers);
        const Mounted mounted(fd(), read_only(make_layers(fd(), lowers)), support);
        CHECK(content_of(fd(), "merged/who") == "0");
        CHECK(errno_of_write(fd(), "merged/who") == EROFS);
        CHECK(errno_of_write(fd(), "merged/new") == EROFS);
        CHECK(errno_of_write(fd(), "0/diff/who2") == 0);
        sys::unlinkat(fd(), "0/diff/who2", 0);
      }
    }
  }

  TEST_CASE_FIXTURE(RootSandbox, "a single lower without an upper is a read-only bind mount") {
    const OverlaySpec spec = read_only(make_layers(fd(), 1));
    for (const OverlaySupport& support : usable_methods(fd())) {
      CAPTURE(to_string(support.method));
      const Mounted mounted(fd(), spec, support);
      const MountEntry entry = entry_of(path() + "/merged");
      CHECK(entry.fs_type == "tmpfs");
      CHECK(entry.root == "/0/diff");
      CHECK(entry.mount_options.starts_with("ro,"));
      CHECK(sys::fstatat(fd(), "merged").st_ino == sys::fstatat(fd(), "0/diff").st_ino);
    }
  }

  TEST_CASE_FIXTURE(RootSandbox, "the mount table shows an overlay with its features off") {
    const OverlaySpec spec = make_layers(fd(), 2);
    for (const OverlaySupport& support : usable_methods(fd())) {
      CAPTURE(to_string(support.method));
      const Mounted mounted(fd(), spec, support);
      const MountEntry entry = entry_of(path() + "/merged");
      CAPTURE(entry.super_options);
      CHECK(entry.fs_type == "overlay");
      CHECK(entry.source == "overlay");
      CHECK(entry.mount_options == "rw,relatime");
      CHECK(entry.optional_fields.empty());
      // The kernel prints a feature only if it differs from the module's default.
      for (const char* on : {"index=on", "redirect_dir=on", "metacopy=on", "nfs_export=on"}) {
        CHECK(entry.super_options.find(on) == std::string::npos);
      }
      struct statfs info {};
      REQUIRE(::statfs((path() + "/merged").c_str(), &info) == 0);
      CHECK((info.f_flags & (MS_NOSUID | MS_NODEV | MS_NOEXEC)) == 0);
    }
  }

  TEST_CASE_FIXTURE(RootSandbox, "odd names of home and layers are nothing special") {
    const std::string names[] = {"a:b",   "c,d",       "with space",   "back\\slash",
                                 "end\\", "new\nline", "\xff\xfe\x80", "=\"'%;#",
                                 "\\054", ",index=on"};
    for (const OverlaySupport& support : usable_methods(fd())) {
      for (const std::string& name : names) {
        CAPTURE(to_string(support.method));
        CAPTURE(quoted(name));
        make_dirs(fd(), name);
        const UniqueFd home = sys::open_path_dir(fd(), name);
        OverlaySpec spec = make_layers(home.get(), 3, name);
        spec.lowers[1].path = name + "1/diff";
        spec.lowers[2].path = name + "2/diff";
        const Mounted mounted(home.get(), spec, support);
        CHECK(content_of(home.get(), "merged/who") == "0");
        CHECK(content_of(home.get(), "merged/2") == "2");
        put_file(home.get(), "merged/new", "new");
        CHECK(content_of(home.get(), name + "top/diff/new") == "new");
        CHECK(entry_of(path() + "/" + name + "/merged").source == "overlay");
      }
    }
  }

  TEST_CASE_FIXTURE(RootSandbox, "names as long as a file system allows are mounted") {
    const std::string prefix(255 - 3, 'n');  // with "top" 255 bytes, over what fsconfig(2) takes
    for (const OverlaySupport& support : usable_methods(fd())) {
      CAPTURE(to_string(support.method));
      OverlaySpec spec = make_layers(fd(), 1, prefix);
      spec.lowers[0].path = prefix + "0/diff";
      const Mounted mounted(fd(), spec, support);
      CHECK(content_of(fd(), "merged/who") == "0");
      CHECK(errno_of_write(fd(), "merged/new") == 0);
    }
  }

  TEST_CASE_FIXTURE(RootSandbox, "a home close to PATH_MAX deep is mounted") {
    const std::string step(200, 'd');
    UniqueFd home = sys::open_path_dir(fd(), ".");
    size_t length = path().size();
    for (; length + step.size() + 60 < PATH_MAX; length += step.size() + 1) {
      sys::mkdirat(home.get(), step, 0755);
      home = sys::open_path_dir(home.get(), step);
    }
    CAPTURE(length);
    const OverlaySpec spec = make_layers(home.get(), 2);
    for (const OverlaySupport& support : usable_methods(fd())) {
      CAPTURE(to_string(support.method));
      const Mounted mounted(home.get(), spec, support);
      CHECK(content_of(home.get(), "merged/who") == "0");
      CHECK(errno_of_write(home.get(), "merged/new") == 0);
      sys::unlinkat(home.get(), "merged/new", 0);
    }
  }

  TEST_CASE_FIXTURE(RootSandbox,
                    "failures leave nothing mounted and name target, depth and reason") {
    make_dirs(fd(), "other");
    mount_classic("other", path() + "/other", "tmpfs", 0);
    make_dirs(fd(), "other/work");
    const OverlaySpec good = make_layers(fd(), 3);
    for (const OverlaySupport& support : usable_methods(fd())) {
      CAPTURE(to_string(support.method));
      OverlaySpec spec = good;
      spec.lowers[1].path = "l/ABSENT";
      check_refused(failure_of(fd(), spec, support), ErrorKind::NotFound,
                    "mount overlay on 'merged' with 3 lower layers: ");
      spec = good;
      spec.lowers[2].path = "0/diff/who";
      check_refused(failure_of(fd(), spec, support), ErrorKind::Internal, "merged");
      spec = good;
      spec.work->path = "other/work";
      check_refused(failure_of(fd(), spec, support), ErrorKind::Internal, "Invalid argument");
      spec = good;
      spec.work.reset();
      check_refused(failure_of(fd(), spec, support), ErrorKind::InvalidArgument, "go together");
      spec = good;
      spec.lowers[1] = spec.lowers[0];
      check_refused(failure_of(fd(), spec, support), ErrorKind::Internal, "symbolic links");
      spec = good;
      spec.lowers.clear();
      check_refused(failure_of(fd(), spec, support), ErrorKind::InvalidArgument, "no lower layer");
      check_refused(failure_of(fd(), read_only(spec), support), ErrorKind::InvalidArgument,
                    "no lower");
      CHECK_THROWS_AS(mount_overlay(fd(), good, "absent", support), SysError);
      CHECK_THROWS_AS(mount_overlay(fd(), good, "0/diff/who", support), SysError);
      const Mounted still_good(fd(), good, support);
    }
    CHECK(unmount_lazily(fd(), "other"));
  }

  TEST_CASE_FIXTURE(RootSandbox, "the kernel's own words are in the error of the new calls") {
    const OverlaySpec spec = make_layers(fd(), 501);
    for (OverlaySupport support : usable_methods(fd())) {
      if (support.method == MountMethod::Classic) continue;
      CAPTURE(to_string(support.method));
      support.max_lowers = 501;
      check_refused(failure_of(fd(), spec, support), ErrorKind::Internal,
                    "too many lower directories, limit is 500");
    }
  }

  TEST_CASE_FIXTURE(RootSandbox, "layers can be open directories and detached mounts") {
    const auto methods = usable_methods(fd());
    OverlaySpec spec = make_layers(fd(), 3);
    const UniqueFd directory = sys::open_path_dir(fd(), "1/diff");
    const UniqueFd cloned = sys::open_path_dir(fd(), "2/diff");
    const DetachedMount detached = clone_read_only(cloned.get());
    spec.lowers[1] = {.path = "", .fd = directory.get()};
    spec.lowers[2] = {.path = "", .fd = detached.fd()};
    for (const OverlaySupport& support : methods) {
      CAPTURE(to_string(support.method));
      if (support.method != MountMethod::LayerFds) {
        check_refused(failure_of(fd(), spec, support), ErrorKind::InvalidArgument, "by descriptor");
        continue;
      }
      const Mounted mounted(fd(), spec, support);
      CHECK(content_of(fd(), "merged/1") == "1");
      CHECK(content_of(fd(), "merged/2") == "2");
    }
  }

  TEST_CASE_FIXTURE(RootSandbox, "a mount label without SELinux is refused, and nonsense always") {
    OverlaySpec spec = make_layers(fd(), 2);
    const std::string types = sys::read_file(AT_FDCWD, "/proc/filesystems", 65536);
    const bool selinux = types.find("\tselinuxfs\n") != std::string::npos;
    for (const OverlaySupport& support : usable_methods(fd())) {
      CAPTURE(to_string(support.method));
      spec.mount_label = "system_u:object_r:container_file_t:s0\",index=on";
      check_refused(failure_of(fd(), spec, support), ErrorKind::InvalidArgument,
                    "not an SELinux context");
      if (selinux) continue;
      spec.mount_label = "system_u:object_r:container_file_t:s0:c1,c2";
      check_refused(failure_of(fd(), spec, support), ErrorKind::Unsupported, "needs SELinux");
    }
  }
}

}  // namespace
}  // namespace overlayd::test
