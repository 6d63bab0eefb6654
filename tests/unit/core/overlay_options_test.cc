// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "core/overlay.h"

namespace overlayd {
namespace {

constexpr OverlaySupport kOld{};
constexpr OverlaySupport kNew{.method = MountMethod::Classic,
                              .max_lowers = kMaxClassicLowers,
                              .index_option = true,
                              .redirect_dir_option = true,
                              .metacopy_option = true};

OverlaySpec writable() {
  return {.lowers = {{.path = "l/NEAR"}, {.path = "l/FAR"}},
          .upper = OverlayLayer{.path = "id/diff"},
          .work = OverlayLayer{.path = "id/work"},
          .mount_label = {}};
}

TEST_SUITE("overlay options") {
  TEST_CASE("lowers come nearest first, then upper and work") {
    CHECK(classic_options(writable(), kOld) ==
          "lowerdir=l/NEAR:l/FAR,upperdir=id/diff,workdir=id/work");
  }

  TEST_CASE("without an upper there are only lowers") {
    OverlaySpec spec = writable();
    spec.upper.reset();
    spec.work.reset();
    CHECK(classic_options(spec, kOld) == "lowerdir=l/NEAR:l/FAR");
  }

  TEST_CASE("features the kernel knows are turned off") {
    CHECK(classic_options(writable(), kNew) ==
          "lowerdir=l/NEAR:l/FAR,upperdir=id/diff,workdir=id/"
          "work,index=off,redirect_dir=off,metacopy="
          "off");
    OverlaySupport some = kOld;
    some.index_option = true;
    CHECK(classic_options(writable(), some).ends_with(",workdir=id/work,index=off"));
  }

  TEST_CASE("what separates options and lowers is escaped in every path") {
    const OverlaySpec spec{.lowers = {{.path = "a:b"}, {.path = "c,d"}, {.path = "e\\f"}},
                           .upper = OverlayLayer{.path = "u:,\\/diff"},
                           .work = OverlayLayer{.path = "u:,\\/work"},
                           .mount_label = {}};
    CHECK(classic_options(spec, kOld) ==
          "lowerdir=a\\:b:c\\,d:e\\\\f,upperdir=u\\:\\,\\\\/diff,workdir=u\\:\\,\\\\/work");
  }

  TEST_CASE("a label is quoted, for it may have commas") {
    OverlaySpec spec = writable();
    spec.mount_label = "system_u:object_r:container_file_t:s0:c1,c2";
    CHECK(classic_options(spec, kOld)
              .ends_with(",context=\"system_u:object_r:container_file_t:s0:c1,c2\""));
  }

  TEST_CASE("as many links as the method allows fit a page") {
    OverlaySpec spec = writable();
    spec.lowers.assign(kMaxClassicLowers, {.path = "l/ABCDEFGHIJKLMNOPQRSTUVWXYZ"});
    const std::string id(64, 'f');
    spec.upper->path = id + "/diff";
    spec.work->path = id + "/work";
    CHECK(classic_options(spec, kNew).size() < 4096);
  }
}

}  // namespace
}  // namespace overlayd
