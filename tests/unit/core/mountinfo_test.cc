// SPDX-License-Identifier: Apache-2.0
#include "core/mountinfo.h"

#include <doctest/doctest.h>

#include "core/error.h"

namespace overlayd {
namespace {

MountEntry only(std::string_view text) {
  const auto entries = parse_mountinfo(text);
  REQUIRE(entries.size() == 1);
  return entries.front();
}

TEST_SUITE("mountinfo") {
  TEST_CASE("a line is taken apart") {
    const MountEntry entry = only(
        "36 35 98:0 /mnt1 /mnt2 rw,noatime shared:7 master:1 - ext3 /dev/root "
        "rw,errors=continue\n");
    CHECK(entry == MountEntry{.id = 36,
                              .parent = 35,
                              .major = 98,
                              .minor = 0,
                              .root = "/mnt1",
                              .mount_point = "/mnt2",
                              .mount_options = "rw,noatime",
                              .optional_fields = {"shared:7", "master:1"},
                              .fs_type = "ext3",
                              .source = "/dev/root",
                              .super_options = "rw,errors=continue"});
  }

  TEST_CASE("optional fields may be none, or of kinds to come") {
    CHECK(only("1 0 0:1 / / rw - tmpfs none rw").optional_fields.empty());
    CHECK(only("1 0 0:1 / / rw unbindable new:5 x - tmpfs none rw").optional_fields.size() == 3);
  }

  TEST_CASE("octal escapes are undone, other backslashes are kept") {
    const MountEntry entry =
        only("1 0 0:1 /a\\040b /c\\011d\\012e\\134f rw - overlay a\\043b lowerdir=l\\134:x\\8\\");
    CHECK(entry.root == "/a b");
    CHECK(entry.mount_point == "/c\td\ne\\f");
    CHECK(entry.source == "a#b");
    CHECK(entry.super_options == "lowerdir=l\\:x\\8\\");
    CHECK(only("1 0 0:1 / /\\0 rw - a b c").mount_point == "/\\0");
    CHECK(only("1 0 0:1 / /\\777 rw - a b c").mount_point == "/\\777");
    CHECK(only("1 0 0:1 / /\xff\xfe rw - a b c").mount_point == "/\xff\xfe");
  }

  TEST_CASE("a source may be empty, which leaves two spaces") {
    const MountEntry entry = only("1 0 0:1 / /mnt rw - tmpfs  rw,size=4k");
    CHECK(entry.source.empty());
    CHECK(entry.super_options == "rw,size=4k");
  }

  TEST_CASE("lines keep their order, and an empty text has none") {
    const auto entries = parse_mountinfo("5 1 0:1 / /a rw - a b c\n4 5 0:2 / /a/b rw - a b c\n");
    REQUIRE(entries.size() == 2);
    CHECK(entries[0].id == 5);
    CHECK(entries[1].mount_point == "/a/b");
    CHECK(parse_mountinfo("").empty());
  }

  TEST_CASE("a text that is not mountinfo is refused and quoted") {
    for (const char* line :
         {"x", "1 0 0:1 / / rw", "1 0 0:1 / / rw shared:1", "1 0 0:1 / / rw - tmpfs",
          "1 0 0:1 / / rw - tmpfs none", "a 0 0:1 / / rw - a b c", "-1 0 0:1 / / rw - a b c",
          "1 0 01 / / rw - a b c", "1 0 0: / / rw - a b c", "1 0 0:1x / / rw - a b c",
          "1 0 0:99999999999 / / rw - a b c", "1 0 0:1  / rw - a b c", " 1 0 0:1 / / rw - a b c"}) {
      CAPTURE(line);
      CHECK_THROWS_WITH_AS(parse_mountinfo("1 0 0:1 / / rw - a b c\n" + std::string(line) + "\n"),
                           doctest::Contains(quoted(line).c_str()), Error);
    }
  }

  TEST_CASE("fields behind the last known one are passed over") {
    CHECK(only("1 0 0:1 / / rw - a b c d").super_options == "c");
  }
}

}  // namespace
}  // namespace overlayd
