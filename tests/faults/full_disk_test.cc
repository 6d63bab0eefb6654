// SPDX-License-Identifier: Apache-2.0
//
// A disk that is really full.
#include <sys/statvfs.h>

#include <doctest/doctest.h>

#include "core/mount.h"
#include "core/sys.h"
#include "tests/integration/store_fixture.h"
#include "tests/support/tar_builder.h"

namespace overlayd::test {
namespace {

constexpr size_t kSize = 4 << 20;
constexpr size_t kInodes = 1000;

/// A store whose home has a file system of its own, of kSize bytes and kInodes inodes.
class SmallSandbox : public StoreSandbox {
 public:
  SmallSandbox() {
    sys::mkdirat(fd(), "home", 0700);
    mount_classic("small", config.home.string(), "tmpfs", 0,
                  "size=" + std::to_string(kSize) + ",nr_inodes=" + std::to_string(kInodes));
    open();
  }
  ~SmallSandbox() {
    close();
    unmount_lazily(AT_FDCWD, config.home.string());
  }

  size_t free_bytes() const {
    struct statvfs info {};
    REQUIRE(::statvfs(config.home.c_str(), &info) == 0);
    return info.f_bfree * info.f_frsize;
  }
};

std::string tar_of(size_t bytes) {
  return TarBuilder().file("large", std::string(bytes, 'x')).end().str();
}

TEST_SUITE("full disk") {
  TEST_CASE_FIXTURE(SmallSandbox, "a full disk is named and its space comes back") {
    open();  // what a store leaves when it is closed is there from now on
    const size_t before = free_bytes();
    create("a");
    CHECK(error_of([&] { apply("a", tar_of(2 * kSize)); }) ==
          "no-space apply layer 'a': entry 'large' at offset 0: write: No space left on device");
    // Nothing of it is left but an empty directory and the mark that it is not complete.
    CHECK(eventually([&] { return before - free_bytes() < kSize / 10; }));
    CHECK(error_of([&] { get("a"); }).starts_with("corrupt "));
    close();
    open();
    CHECK(error_of([&] { get("a"); }).starts_with("corrupt "));
    remove("a");
    CHECK(trash_empties());
    CHECK(free_bytes() == before);
    create("a");
    CHECK(apply("a", tar_of(kSize / 2)) == kSize / 2);
    remove_everything();
  }

  TEST_CASE_FIXTURE(SmallSandbox, "on a disk filled by somebody else layers can still be removed") {
    create("a");
    apply("a", tar_of(kSize / 2));
    create("b", "a");
    get("b");
    const UniqueFd root = home();
    size_t files = 0;
    const auto fill = [&](size_t bytes) {
      const std::string content(bytes, 'f');
      const UniqueFd file =
          sys::openat(root.get(), std::to_string(files), O_WRONLY | O_CREAT, 0600);
      ++files;
      sys::write_full(file.get(), as_bytes(content));
    };
    // The last free page, too.
    for (size_t bytes = kSize; bytes > 0; bytes /= 2) error_of([&] { fill(bytes); });
    CHECK(free_bytes() == 0);
    CHECK(error_of([&] { apply("b", tar_of(1)); }).starts_with("busy "));
    put("b");
    CHECK(error_of([&] { apply("b", tar_of(1 << 16)); }).starts_with("no-space "));
    CHECK(free_bytes() == 0);
    while (error_of([&] { fill(0); }).empty()) {
    }
    close();
    notes.clear();
    open();
    CHECK(notes.contains("overlayfs was not tried out, for want of space: "));
    remove("a");
    CHECK(!store->exists(id_of("a")));
    remove("b");
    CHECK(eventually([&] { return free_bytes() >= kSize / 2; }));
    while (files > 0) sys::unlinkat(root.get(), std::to_string(--files), 0);
    remove_everything();
  }
}

}  // namespace
}  // namespace overlayd::test
