// SPDX-License-Identifier: Apache-2.0
#include "core/layer_overlay.h"

#include <string>

#include <doctest/doctest.h>

#include "tests/unit/core/handmade_home.h"

namespace overlayd::test {
namespace {

const LayerId kLayer = LayerId::parse("top");
const std::string kEnd = ",index=off,redirect_dir=off,metacopy=off ./top/merged";

TEST_SUITE("layer_overlay") {
  TEST_CASE("a layer that can be written to is the upper, one that cannot is the nearest lower") {
    const std::string start = "cd /h && mkdir -p ./top/merged && mount -t overlay overlay -o ";
    CHECK(mount_command("/h", kLayer, false, {link('B'), link('A')}).line ==
          start + "lowerdir=l/" + link('B') + ":l/" + link('A') +
              ",upperdir=top/diff,workdir=top/work" + kEnd);
    CHECK(mount_command("/h", kLayer, true, {link('A')}).line ==
          start + "lowerdir=top/diff:l/" + link('A') + kEnd);
  }

  TEST_CASE("a layer on nothing takes no overlay") {
    CHECK(mount_command("/h", kLayer, true, {}).line ==
          "cd /h && mkdir -p ./top/merged && mount --bind -o ro ./top/diff ./top/merged");
    const MountCommand none = mount_command("/h", kLayer, false, {});
    CHECK(none.line.empty());
    CHECK(none.reason == "it lies on nothing, so it is its 'diff' directory");
  }

  TEST_CASE("what means something to a shell or to overlayfs is quoted") {
    const auto line = mount_command("/a b/it's", LayerId::parse("$x:y"), false, {link('A')}).line;
    CHECK(line.starts_with("cd '/a b/it'\\''s' && mkdir -p './$x:y/merged' && "));
    CHECK(line.find(",upperdir=$x\\:y/diff,workdir=$x\\:y/work,") != std::string::npos);
    CHECK(line.ends_with("metacopy=off' './$x:y/merged'"));
  }

  TEST_CASE("long options are for mount(2), and those longer than a page for nobody") {
    std::vector<std::string> lowers(8, link('A'));
    const auto line = [&] { return mount_command("/h", kLayer, false, lowers).line; };
    CHECK(line().find("LIBMOUNT") == std::string::npos);
    lowers.resize(9, link('A'));
    CHECK(line().find("&& LIBMOUNT_FORCE_MOUNT2=always mount ") != std::string::npos);
    lowers.resize(128, link('A'));
    CHECK(!line().empty());
    lowers.resize(200, link('A'));
    CHECK(line().empty());
    CHECK(mount_command("/h", kLayer, false, lowers).reason.starts_with("its 200 lower layers "));
  }
}

}  // namespace
}  // namespace overlayd::test
