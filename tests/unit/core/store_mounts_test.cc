// SPDX-License-Identifier: Apache-2.0
#include "core/store_mounts.h"

#include <string>

#include <doctest/doctest.h>

namespace overlayd {
namespace {

const std::string kA(26, 'A'), kB(26, 'B');

/// The layer that an overlay with these options shows, of "a" and "b".
std::string shown(const std::string& options, const std::string& fs_type = "overlay") {
  MountNamespace space;
  space.processes = {42, 43};
  space.command = "sleep";
  MountEntry& mount = space.mounts.emplace_back();
  mount.mount_point = "/";
  mount.fs_type = fs_type;
  mount.super_options = options;
  const auto mounted = mounted_layers({space}, {{kA, "a"}, {kB, "b"}});
  if (mounted.empty()) return {};
  REQUIRE(mounted.size() == 1);
  const auto& [id, found] = *mounted.begin();
  CHECK(found.layer == id);
  CHECK(found.process == 42);
  CHECK(found.command == "sleep");
  CHECK(found.mount_point == "/");
  return id;
}

TEST_SUITE("store_mounts") {
  TEST_CASE("an overlay shows its upper layer, whatever it is called from where") {
    CHECK(shown("rw,lowerdir=/x/l/" + kB + ",upperdir=/x/a/diff,workdir=/x/a/work") == "a");
    CHECK(shown("rw,lowerdir=l/" + kB + ",upperdir=a/diff,workdir=a/work,index=off") == "a");
    CHECK(shown("rw,lowerdir+=/old/b/diff,upperdir=/old/a/diff") == "a");
  }

  TEST_CASE("without one the nearest lower layer") {
    CHECK(shown("ro,lowerdir=/x/b/diff:/x/l/" + kA) == "b");
    CHECK(shown("ro,lowerdir=/x/l/" + kA + ":/x/b/diff") == "a");
    CHECK(shown("ro,lowerdir+=/x/b/diff,lowerdir+=/x/a/diff") == "b");
  }

  TEST_CASE("other overlays, and what is none, show no layer") {
    CHECK(shown("rw,lowerdir=/x/l/" + kB + ",upperdir=/x/c/diff") == "");
    CHECK(shown("ro,lowerdir=/x/c/diff:/x/a/diff") == "");
    CHECK(shown("ro,lowerdir=/x/a/other") == "");
    CHECK(shown("ro,lowerdir=/x/m/" + kA) == "");
    CHECK(shown("rw,upperdir=/x/a/diff", "tmpfs") == "");
    CHECK(shown("") == "");
    CHECK(shown("rw,,upperdir=,lowerdir") == "");
  }
}

}  // namespace
}  // namespace overlayd
