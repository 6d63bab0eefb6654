// SPDX-License-Identifier: Apache-2.0
#include "core/capability.h"

#include <doctest/doctest.h>

namespace overlayd::capability {
namespace {

// cap_net_raw+ep as setcap(8) writes it: flags, then permitted and inheritable in two halves.
const std::string kV2(
    "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 20);
const std::string kV3 = std::string("\x01\x00\x00\x03", 4) + kV2.substr(4) +
                        std::string("\xa0\x86\x01\x00", 4);  // 100000

TEST_SUITE("capability") {
  TEST_CASE("revision 3 loses its root in a tar and gets it back on disk") {
    CHECK(for_tar(kV3) == kV2);
    CHECK(for_disk(kV2, 100000) == kV3);
  }

  TEST_CASE("revision 2 is a tar's as it is, and a disk's for host root") {
    CHECK(for_tar(kV2) == kV2);
    CHECK(for_disk(kV2, 0) == kV2);
  }

  TEST_CASE("the root's four bytes are little-endian") {
    CHECK(for_disk(kV2, 0xfffefdfc).substr(20) == "\xfc\xfd\xfe\xff");
    CHECK(for_tar(for_disk(kV2, 0xffffffff)) == kV2);
  }

  TEST_CASE("the effective flag and the sets are kept") {
    std::string other = kV2;
    other[0] = 0;
    for (size_t i = 4; i < other.size(); ++i) other[i] = static_cast<char>(i * 11);
    CHECK(for_tar(for_disk(other, 7)) == other);
  }

  TEST_CASE("anything else is returned as it is") {
    std::string wrong_size_2 = kV2 + "x", wrong_size_3 = kV3;
    wrong_size_3.resize(20);
    std::string revision_1 = kV2, revision_9 = kV3;
    revision_1[3] = 1;
    revision_9[3] = 9;
    const std::string values[] = {"",           "x",        "abc",      wrong_size_2,
                                  wrong_size_3, revision_1, revision_9, std::string(24, '\0')};
    for (const std::string& value : values) {
      CAPTURE(value.size());
      CHECK(for_tar(value) == value);
      CHECK(for_disk(value, 100000) == value);
    }
    CHECK(for_disk(kV3, 5) == kV3);
  }
}

}  // namespace
}  // namespace overlayd::capability
