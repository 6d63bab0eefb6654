// SPDX-License-Identifier: Apache-2.0
#include "core/overlay_support.h"

#include <fcntl.h>

#include <doctest/doctest.h>

#include "core/error.h"
#include "core/filesystem.h"
#include "core/mount.h"
#include "core/overlay.h"
#include "core/sys.h"
#include "tests/integration/overlay_fixture.h"
#include "tests/support/root_sandbox.h"

namespace overlayd::test {
namespace {

TEST_SUITE("overlay_support") {
  TEST_CASE_FIXTURE(RootSandbox,
                    "auto finds a method, whose limit is its own, and leaves nothing") {
    const OverlaySupport support = probe_overlay(fd(), MountMethod::Auto);
    CHECK(support == usable_methods(fd()).front());
    CHECK(support.method != MountMethod::Auto);
    CHECK(support.max_lowers ==
          (support.method == MountMethod::Classic ? kMaxClassicLowers : kMaxLowers));
    CHECK(sys::list_directory(fd()).empty());
  }

  TEST_CASE_FIXTURE(RootSandbox, "the probe does away with what an interrupted one left") {
    make_dirs(fd(), "overlay-probe/merged");
    make_dirs(fd(), "overlay-probe/upper/dir");
    mount_classic("left", path() + "/overlay-probe/merged", "tmpfs", 0);
    probe_overlay(fd(), MountMethod::Auto);
    CHECK(sys::list_directory(fd()).empty());
  }

  TEST_CASE_FIXTURE(RootSandbox, "a home on an overlayfs is refused with advice") {
    const OverlaySpec spec = make_layers(fd(), 1);
    const OverlaySupport support = probe_overlay(fd(), MountMethod::Auto);
    mount_overlay(fd(), spec, "merged", support);
    {
      const UniqueFd merged = sys::open_path_dir(fd(), "merged");
      CHECK(filesystem_name(merged.get()) == "overlayfs");
      CHECK_THROWS_WITH_AS(probe_overlay(merged.get(), MountMethod::Auto),
                           doctest::Contains("put it on a volume"), Error);
    }
    CHECK(unmount_lazily(fd(), "merged"));
  }

  TEST_CASE_FIXTURE(RootSandbox, "a read-only home is an error that leaves nothing") {
    make_dirs(fd(), "home");
    const UniqueFd home = sys::open_path_dir(fd(), "home");
    const DetachedMount read_only_home = clone_read_only(home.get());
    CHECK_THROWS_AS(probe_overlay(read_only_home.fd(), MountMethod::Auto), SysError);
  }

  TEST_CASE_FIXTURE(RootSandbox, "on a full disk the same method is found without a byte written") {
    make_dirs(fd(), "one");
    make_dirs(fd(), "other");
    for (const OverlaySupport& support : usable_methods(fd())) {
      CHECK(probe_overlay_on_full_disk(fd(), "one", "other", support.method) == support);
    }
    CHECK(probe_overlay_on_full_disk(fd(), "one", "other", MountMethod::Auto) ==
          probe_overlay(fd(), MountMethod::Auto));
    const UniqueFd home = sys::open_path_dir(fd(), ".");
    const DetachedMount read_only = clone_read_only(home.get());
    CHECK(probe_overlay_on_full_disk(read_only.fd(), "one", "other", MountMethod::Auto) ==
          usable_methods(fd()).front());
  }

  TEST_CASE_FIXTURE(RootSandbox, "file systems have the names Docker gives them") {
    CHECK(filesystem_name(fd()) == "tmpfs");
    CHECK(filesystem_name(sys::open_path_dir(AT_FDCWD, "/proc").get()) == "unknown");
    CHECK(reports_d_type(fd()));
    CHECK(sys::list_directory(fd()).empty());
  }
}

}  // namespace
}  // namespace overlayd::test
