// SPDX-License-Identifier: Apache-2.0
#include "plugin/json_text.h"

#include <doctest/doctest.h>

namespace overlayd {
namespace {

std::string changed(const std::string& text) {
  return with_string_member(text, "Driver", "new").value_or("none");
}

TEST_SUITE("json_text") {
  TEST_CASE("one member changes and every other byte stays") {
    CHECK(changed(R"({"b":1.50,"Driver":"old","a":[1e3,{"Driver":"x"}]})") ==
          R"({"b":1.50,"Driver":"new","a":[1e3,{"Driver":"x"}]})");
    CHECK(changed("\n{ \"Driver\" :\t\"old\" ,\"n\": 12345678901234567890123 }\n") ==
          "\n{ \"Driver\" :\t\"new\" ,\"n\": 12345678901234567890123 }\n");
  }

  TEST_CASE("strings that look like the member are none") {
    CHECK(changed(R"({"a":"\"Driver\":\"x\"","b":"Driver","Driver":"o\"ld\\","c":"}{"})") ==
          R"({"a":"\"Driver\":\"x\"","b":"Driver","Driver":"new","c":"}{"})");
    CHECK(changed(R"({"DriverX":"x","Drive":"y","Driver":""})") ==
          R"({"DriverX":"x","Drive":"y","Driver":"new"})");
  }

  TEST_CASE("of two members of that name the last one counts") {
    CHECK(changed(R"({"Driver":"a","Driver":"b"})") == R"({"Driver":"a","Driver":"new"})");
  }

  TEST_CASE("the value is written as JSON") {
    CHECK(with_string_member(R"({"a":""})", "a", "q\"\\") == R"({"a":"q\"\\"})");
  }

  TEST_CASE("what has no such string, or is no JSON, is not changed") {
    for (const char* text : {R"({"a":{"Driver":"x"}})", R"({"Driver":1})", R"(["Driver","x"])", "",
                             R"({"Driver":"x")", R"({"Driver":"x","Driver":{}})"}) {
      CAPTURE(text);
      CHECK(changed(text) == "none");
    }
  }
}

}  // namespace
}  // namespace overlayd
