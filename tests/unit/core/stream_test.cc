// SPDX-License-Identifier: Apache-2.0
#include "core/stream.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include "core/error.h"
#include "core/sys.h"
#include "tests/support/temp_dir.h"

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

  TEST_CASE("a sink that knows nothing of files gets their bytes, wherever they stand") {
    const test::TempDir dir;
    const std::string text = std::string(150'000, 'x') + "end";
    dir.write("f", text);
    StringSink sink;
    UniqueFd fd = sys::openat(dir.fd(), "f", O_RDONLY);
    REQUIRE(::lseek(fd.get(), 7, SEEK_SET) == 7);
    sink.write_file({std::move(fd), text.size() - 2, "f"});
    CHECK(sink.text() == text.substr(0, text.size() - 2));
  }

  TEST_CASE("a file that ends too early, or cannot be read, is named") {
    const test::TempDir dir;
    dir.write("f", "short");
    StringSink sink;
    CHECK_THROWS_WITH_AS(sink.write_file({sys::openat(dir.fd(), "f", O_RDONLY), 6, "d/f"}),
                         "'d/f': became shorter while being read", Error);
    CHECK_THROWS_WITH_AS(sink.write_file({sys::openat(dir.fd(), "f", O_WRONLY), 5, "d/f"}),
                         "'d/f': read: Bad file descriptor", SysError);
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
