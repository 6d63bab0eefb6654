// SPDX-License-Identifier: Apache-2.0
#include "core/tar_place.h"

#include <doctest/doctest.h>

#include "core/error.h"

namespace overlayd {
namespace {

TEST_SUITE("tar place") {
  TEST_CASE("names are cleaned as Go cleans them") {
    const struct {
      const char *name, *parent, *last;
    } cases[] = {{"f", "", "f"},
                 {"/etc/conf", "etc", "conf"},
                 {"./usr//bin/x/", "usr/bin", "x"},
                 {"a/../b", "", "b"},
                 {"a/b/../../c/d", "c", "d"},
                 {".", "", ""},
                 {"/", "", ""},
                 {"a/..", "", ""},
                 {"", "", ""}};
    for (const auto& [name, parent, last] : cases) {
      CAPTURE(name);
      const TarPlace place = place_in_layer(name, "name");
      CHECK(place.parent == parent);
      CHECK(place.name == last);
    }
    CHECK(place_in_layer("a/b/c", "name").path() == "a/b/c");
    CHECK(place_in_layer("c", "name").path() == "c");
  }

  TEST_CASE("what leads out of the layer is refused, even if it leads in again") {
    for (const char* const name : {"..", "../f", "a/../../f", "/../etc/f"}) {
      CAPTURE(name);
      CHECK_THROWS_WITH_AS(place_in_layer(name, "name"),
                           ("name '" + std::string(name) + "' leads out of the layer").c_str(),
                           Error);
    }
  }

  TEST_CASE("aufs's own files and what lies in a whiteout are told by their place") {
    CHECK(is_aufs_bookkeeping({".wh..wh.plnk", "1.2"}));
    CHECK(is_aufs_bookkeeping({"", ".wh..wh.aufs"}));
    CHECK(!is_aufs_bookkeeping({"", ".wh..wh..opq"}));
    CHECK(!is_aufs_bookkeeping({"etc", ".wh..wh.aufs"}));
    CHECK(is_below_marker({"etc/.wh.conf", "f"}));
    CHECK(is_below_marker({".wh.etc", "f"}));
    CHECK(!is_below_marker({"etc", ".wh.f"}));
    CHECK(!is_below_marker({"a.wh.b", "f"}));
  }
}

}  // namespace
}  // namespace overlayd
