// SPDX-License-Identifier: Apache-2.0
#include "core/disk_usage.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string>

#include <doctest/doctest.h>

#include "core/sys.h"
#include "tests/support/temp_dir.h"

namespace overlayd::test {
namespace {

uint64_t blocks_of(const TempDir& dir, const std::string& path) {
  return static_cast<uint64_t>(sys::fstatat(dir.fd(), path).st_blocks) * 512;
}

/// In a thread, because it is for good: no privilege is left to it.
void as_nobody(const std::function<void()>& work) {
  sys::run_in_own_thread([&] {
    constexpr uid_t kNobody = 65534;
    if (::geteuid() == 0) REQUIRE(::syscall(SYS_setresuid, kNobody, kNobody, kNobody) == 0);
    work();
  });
}

TEST_SUITE("disk_usage") {
  TEST_CASE("blocks are counted, and each inode once") {
    const TempDir dir;
    sys::mkdirat(dir.fd(), "tree", 0755);
    sys::mkdirat(dir.fd(), "tree/sub", 0755);
    dir.write("tree/file", std::string(100'000, 'x'));
    dir.write("outside", "x");
    REQUIRE(::linkat(dir.fd(), "tree/file", dir.fd(), "tree/sub/same", 0) == 0);
    REQUIRE(::linkat(dir.fd(), "outside", dir.fd(), "tree/linked", 0) == 0);
    sys::symlinkat("/", dir.fd(), "tree/symlink");
    sys::openat(dir.fd(), "tree/sparse", O_WRONLY | O_CREAT, 0644);
    REQUIRE(::truncate((dir / "tree/sparse").c_str(), 1'000'000'000) == 0);
    uint64_t bytes = 0;
    for (const char* path :
         {"tree", "tree/sub", "tree/file", "tree/linked", "tree/symlink", "tree/sparse"}) {
      bytes += blocks_of(dir, path);
    }
    DiskUsage told;
    const DiskUsage usage = disk_usage(dir.fd(), "tree", [&](const DiskUsage& now) { told = now; });
    CHECK(usage == DiskUsage{.bytes = bytes, .inodes = 6});
    CHECK(bytes < 1'000'000);
    CHECK(told == usage);
    CHECK(disk_usage(dir.fd(), "tree/file").inodes == 1);
    CHECK(disk_usage(dir.fd(), "absent") == DiskUsage{});
  }

  TEST_CASE("a tree may be deeper than there are descriptors") {
    constexpr int kDepth = 1500;
    const TempDir dir;
    UniqueFd at = sys::open_path_dir(dir.fd(), ".");
    for (int i = 0; i < kDepth; ++i) {
      sys::mkdirat(at.get(), "d", 0755);
      at = sys::open_path_dir(at.get(), "d");
    }
    CHECK(disk_usage(dir.fd(), "d").inodes == kDepth);
  }

  TEST_CASE("what cannot be read is counted, and the rest as well") {
    const TempDir dir;
    sys::mkdirat(dir.fd(), "tree", 0755);
    sys::mkdirat(dir.fd(), "tree/closed", 0000);
    dir.write("tree/file", "x");
    REQUIRE(::chmod(dir.path().c_str(), 0755) == 0);
    DiskUsage usage;
    as_nobody([&] { usage = disk_usage(dir.fd(), "tree"); });
    CHECK(usage.inodes == 3);
    CHECK(usage.unread == 1);
  }
}

}  // namespace
}  // namespace overlayd::test
