// SPDX-License-Identifier: Apache-2.0
#include "core/overlay_traces.h"

#include <doctest/doctest.h>

#include "core/error.h"
#include "core/mount.h"
#include "core/sys.h"
#include "core/xattr.h"
#include "tests/integration/overlay_fixture.h"
#include "tests/support/root_sandbox.h"

namespace overlayd::test {
namespace {

/// A layer "a" that was an upper directory, and an overlay of it on another.
struct TracesSandbox : RootSandbox {
  TracesSandbox() {
    make_dirs(fd(), "lower/d/e");
    put_file(fd(), "lower/d/e/f", "content");
    make_dirs(fd(), "a/diff");
    make_dirs(fd(), "a/work");
    make_dirs(fd(), "merged");
  }
  /// Mounts it as Docker's driver does where the module has such defaults, and writes there.
  template <typename Work>
  void in_overlay(const std::string& options, Work work) const {
    mount_classic("overlay", path() + "/merged", "overlay", 0,
                  "lowerdir=" + path() + "/lower,upperdir=" + path() + "/a/diff,workdir=" + path() +
                      "/a/work," + options);
    work();
    unmount_lazily(fd(), "merged");
  }
  std::string complaint() const {
    try {
      check_overlay_traces(fd(), LayerId::parse("a"));
      return {};
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::Unsupported);
      return error.what();
    }
  }
};

TEST_SUITE("overlay_traces") {
  TEST_CASE_FIXTURE(TracesSandbox, "an ordinary upper directory has none") {
    in_overlay("redirect_dir=off,metacopy=off,index=off", [&] {
      put_file(fd(), "merged/d/e/f", "changed");
      put_file(fd(), "merged/new", "new");
      sys::remove_tree(fd(), "merged/d/e");
      make_dirs(fd(), "merged/d/e");
    });
    CHECK(complaint() == "");
  }

  TEST_CASE_FIXTURE(TracesSandbox, "a directory that was renamed is found, at any depth") {
    in_overlay("redirect_dir=on,metacopy=off,index=off",
               [&] { sys::renameat(fd(), "merged/d/e", fd(), "merged/d/moved"); });
    CHECK(complaint() == "layer 'a': 'd/moved': it was renamed under overlay's redirect_dir=on");
  }

  TEST_CASE_FIXTURE(TracesSandbox, "a file of which only the metadata was copied is found") {
    in_overlay("redirect_dir=on,metacopy=on,index=off",
               [&] { sys::fchmod(sys::openat(fd(), "merged/d/e/f", O_RDONLY).get(), 0600); });
    CHECK(complaint() == "layer 'a': 'd/e/f': it was copied up under overlay's metacopy=on");
  }

  TEST_CASE_FIXTURE(TracesSandbox, "marks of a user namespace are found") {
    make_dirs(fd(), "a/work/work");
    make_dirs(fd(), "a/diff/d");
    xattr::set({fd(), "a/diff/d"}, "user.overlay.opaque", "y");
    CHECK(complaint() == "layer 'a': 'd': overlay's option userxattr was used on it");
  }

  TEST_CASE_FIXTURE(TracesSandbox, "what was never an upper directory is not looked at") {
    make_dirs(fd(), "a/diff/d");
    xattr::set({fd(), "a/diff/d"}, "trusted.overlay.redirect", "/x");
    CHECK(complaint() == "");
    sys::remove_tree(fd(), "a/work");
    CHECK(complaint() == "");
  }
}

}  // namespace
}  // namespace overlayd::test
