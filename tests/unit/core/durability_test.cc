// SPDX-License-Identifier: Apache-2.0
#include "core/durability.h"

#include <doctest/doctest.h>

namespace overlayd {

TEST_SUITE("durability") {
  TEST_CASE("durability is written as it is read") {
    for (const char* text : {"strict", "syncfs", "none"}) {
      CHECK(to_string(parse_durability(text).value()) == text);
    }
    CHECK_FALSE(parse_durability("magic"));
  }
}

}  // namespace overlayd
