// SPDX-License-Identifier: Apache-2.0
#include "core/layer_diff.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "core/acl.h"
#include "core/layer_apply.h"
#include "core/sys.h"
#include "core/whiteout.h"
#include "core/xattr.h"
#include "tests/integration/overlay_fixture.h"
#include "tests/integration/store_fixture.h"
#include "tests/support/root_sandbox.h"
#include "tests/support/tree_dump.h"

namespace overlayd::test {
namespace {

/// A layer as a container may have left it, and another to extract what was archived.
struct DiffSandbox : RootSandbox {
  DiffSandbox() {
    make_dirs(fd(), "layer");
    make_dirs(fd(), "copy");
    layer = sys::openat(fd(), "layer", O_RDONLY | O_DIRECTORY);
    copy = sys::openat(fd(), "copy", O_RDONLY | O_DIRECTORY);
  }

  DiffSource source() const {
    std::vector<UniqueFd> stack;
    stack.push_back(sys::openat(layer.get(), ".", O_RDONLY | O_DIRECTORY));
    return {.upper = MergedDir(std::move(stack)), .parent = std::nullopt, .direct = true};
  }

  std::string archive() const {
    StringSink sink;
    NullObserver observer;
    write_layer_tar(source(), {}, observer, sink);
    return sink.text();
  }

  void check_round_trip() const {
    const std::string tar = archive();
    StringSource in(tar);
    CHECK(apply_layer_tar(copy.get(), {}, in).size == measure(source()));
    CHECK(tree_text(copy.get()) == tree_text(layer.get()));
  }

  UniqueFd layer, copy;
};

/// The directory at the end of components of `sizes` bytes, made one in the other.
UniqueFd make_way(int dirfd, const std::vector<size_t>& sizes) {
  UniqueFd at = sys::openat(dirfd, ".", O_RDONLY | O_DIRECTORY);
  for (const size_t size : sizes) {
    const std::string name(size, 'd');
    sys::mkdirat(at.get(), name, 0755);
    at = sys::openat(at.get(), name, O_RDONLY | O_DIRECTORY);
  }
  return at;
}

TEST_SUITE("layer_diff") {
  TEST_CASE_FIXTURE(DiffSandbox, "ACLs leave with whatever has them, pipes and devices too") {
    // u::rw- u:7:r-- g::r-- m::r-- o::---
    const std::string value(
        "\2\0\0\0\1\0\6\0\xff\xff\xff\xff\2\0\4\0\7\0\0\0\4\0\4\0\xff\xff\xff\xff\20\0\4\0\xff\xff"
        "\xff\xff"
        "\40\0\0\0\xff\xff\xff\xff",
        44);
    put_file(layer.get(), "file", "x");
    make_dirs(layer.get(), "directory");
    REQUIRE(::mknodat(layer.get(), "pipe", S_IFIFO | 0600, 0) == 0);
    REQUIRE(::mknodat(layer.get(), "device", S_IFCHR | 0600, makedev(1, 3)) == 0);
    for (const char* name : {"file", "directory", "pipe", "device"})
      xattr::set({layer.get(), name}, acl::kAccessXattr, value);
    check_round_trip();
    for (const char* name : {"file", "directory", "pipe", "device"}) {
      CAPTURE(name);
      CHECK(xattr::get({copy.get(), name}, acl::kAccessXattr) == value);
    }
  }

  TEST_CASE_FIXTURE(DiffSandbox,
                    "the longest names that leave come back, and longer ones do not leave") {
    const auto file = [](int at, size_t room) { put_file(at, std::string(room, 'f'), "x"); };
    const auto deleted = [](int at, size_t room) {
      whiteout::make(at, std::string(room - 4, 'w'));
    };
    const auto directory = [](int at, size_t room) { make_dirs(at, std::string(room - 1, 'd')); };
    const auto opaque = [](int at, size_t room) {
      const std::string name(room - whiteout::kOpaqueMarker.size() - 1, 'o');
      make_dirs(at, name);
      whiteout::set_opaque({at, name});
    };
    const std::vector<size_t> way(16, 252);  // 4048 bytes with their slashes
    constexpr size_t kRoom = 4096 - 4048;
    const std::function<void(int, size_t)> kinds[] = {file, deleted, directory, opaque};
    for (size_t kind = 0; kind < std::size(kinds); ++kind) {
      CAPTURE(kind);
      for (const char* name : {"layer", "copy"}) {
        sys::remove_tree(fd(), name);
        make_dirs(fd(), name);
      }
      layer = sys::openat(fd(), "layer", O_RDONLY | O_DIRECTORY);
      copy = sys::openat(fd(), "copy", O_RDONLY | O_DIRECTORY);
      kinds[kind](make_way(layer.get(), way).get(), kRoom);
      check_round_trip();
      size_t changes = 0;
      list_changes(source(), [&](std::string_view, ChangeKind) { ++changes; });
      CHECK(changes > 0);
      kinds[kind](make_way(layer.get(), way).get(), kRoom + 1);
      CHECK(error_of([&] { archive(); }).find("longer than 4096 bytes") != std::string::npos);
    }
  }

  TEST_CASE_FIXTURE(DiffSandbox, "sizes that add up to more than 64 bits can say are an error") {
    constexpr off_t kFiveEiB = off_t{5} << 60;
    put_file(layer.get(), "a", "");
    put_file(layer.get(), "b", "");
    REQUIRE(::ftruncate(sys::openat(layer.get(), "a", O_WRONLY).get(), kFiveEiB) == 0);
    CHECK(measure(source()) == kFiveEiB);
    REQUIRE(::ftruncate(sys::openat(layer.get(), "b", O_WRONLY).get(), kFiveEiB) == 0);
    CHECK(error_of([&] { measure(source()); }) == "unsupported the layer is larger than 8 EiB");
  }
}

}  // namespace
}  // namespace overlayd::test
