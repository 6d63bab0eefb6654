// SPDX-License-Identifier: Apache-2.0
#include "core/layer_id.h"

#include <string>

#include <doctest/doctest.h>

#include "core/error.h"

namespace overlayd {
namespace {

TEST_SUITE("layer id") {
  TEST_CASE("what engines call layers is accepted as it is") {
    for (const std::string& text :
         {std::string(64, 'f'), std::string(64, '0') + "-init",
          std::string("abcdefghijklmnopqrstuvwxy"), std::string("a"), std::string("L"),
          std::string("ll"), std::string("a..b"), std::string("a b"), std::string(255, 'x')}) {
      CAPTURE(text);
      CHECK(LayerId::parse(text).str() == text);
    }
  }

  TEST_CASE("what could not be a directory of its own is refused") {
    struct Case {
      std::string text;
      const char* message;
    };
    for (const auto& [text, message] :
         {Case{"", "layer id is empty"}, Case{"a/b", "layer id 'a/b' contains '/'"},
          Case{"/", "layer id '/' contains '/'"},
          Case{std::string("a\0b", 3), "layer id 'a\\x00b' contains a NUL byte"},
          Case{"l", "layer id 'l' is the name of the link directory"},
          Case{".", "layer id '.' begins with '.', which the store keeps for itself"},
          Case{"..", "layer id '..' begins with '.', which the store keeps for itself"},
          Case{".overlayd",
               "layer id '.overlayd' begins with '.', which the store keeps for itself"}}) {
      CAPTURE(text);
      CHECK_THROWS_WITH_AS(LayerId::parse(text), message, Error);
    }
    CHECK_THROWS_AS(LayerId::parse(std::string(256, 'x')), Error);
  }

  TEST_CASE("ids are ordered and hashed by their text") {
    const LayerId a = LayerId::parse("a"), b = LayerId::parse("b");
    CHECK(a < b);
    CHECK(a == LayerId::parse("a"));
    CHECK(std::hash<LayerId>()(a) == std::hash<LayerId>()(LayerId::parse("a")));
    CHECK(std::hash<LayerId>()(a) != std::hash<LayerId>()(b));
  }
}

}  // namespace
}  // namespace overlayd
