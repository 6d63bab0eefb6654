// SPDX-License-Identifier: Apache-2.0
#include "core/stream.h"

#include <array>
#include <string>

#include <doctest/doctest.h>

namespace overlayd {
namespace {

TEST_SUITE("stream") {
  TEST_CASE("a string source gives its text in pieces and then nothing") {
    StringSource source("abcde");
    std::array<std::byte, 3> buffer{};
    const auto text = [&](size_t count) {
      return std::string(reinterpret_cast<char*>(buffer.data()), count);
    };
    REQUIRE(source.read(buffer) == 3);
    CHECK(text(3) == "abc");
    REQUIRE(source.read(buffer) == 2);
    CHECK(text(2) == "de");
    CHECK(source.read(buffer) == 0);
    CHECK(source.read(buffer) == 0);
  }

  TEST_CASE("a string sink keeps all it gets, NUL bytes too") {
    StringSink sink;
    sink.write(as_bytes("ab"));
    sink.write({});
    sink.write(as_bytes(std::string_view("\0c", 2)));
    CHECK(sink.text() == std::string("ab\0c", 4));
  }

  TEST_CASE("draining tells how much there was") {
    const std::string text(200'001, 'x');
    StringSource source(text);
    CHECK(drain(source) == text.size());
    CHECK(drain(source) == 0);
  }
}

}  // namespace
}  // namespace overlayd
