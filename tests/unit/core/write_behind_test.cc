// SPDX-License-Identifier: Apache-2.0
#include "core/write_behind.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <string>
#include <thread>

#include <doctest/doctest.h>

#include "core/error.h"
#include "core/sys.h"
#include "tests/support/temp_dir.h"

namespace overlayd {
namespace {

std::string pattern(size_t size) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 31 + i / 997);
  return text;
}

/// Takes so many bytes and then throws.
class FullSink final : public ByteSink {
 public:
  explicit FullSink(size_t room) : room_(room) {}
  void write(std::span<const std::byte> bytes) override {
    if (bytes.size() > room_) throw Error(ErrorKind::Aborted, "the receiver went away");
    room_ -= bytes.size();
  }

 private:
  size_t room_;
};

/// Tells which thread has written.
class ThreadSink final : public ByteSink {
 public:
  void write(std::span<const std::byte>) override { thread = std::this_thread::get_id(); }
  std::thread::id thread;
};

std::string error_of(const auto& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

TEST_SUITE("write behind") {
  TEST_CASE("pieces and writes come out in the order they were given in") {
    const std::string text = pattern(2'000'003);
    StringSink sink;
    WriteBehind behind(sink);
    Buffer piece = Buffer::with_capacity(100'000);
    size_t at = 0;
    for (size_t turn = 0; at < text.size(); ++turn) {
      const auto part = as_bytes(std::string_view(text).substr(at, 1 + turn * 30'011 % 100'000));
      if (turn % 3 == 0) {
        behind.write(part);
      } else {
        REQUIRE(piece.free().size() >= 100'000);
        std::ranges::copy(part, piece.free().begin());
        piece.used = part.size();
        behind.write_buffer(piece);
      }
      at += part.size();
    }
    behind.finish();
    CHECK(sink.text() == text);
  }

  TEST_CASE("everything comes out in order, however it is cut") {
    const std::string text = pattern(3'000'017);
    for (const size_t cut : std::array<size_t, 4>{1'000'003, 262'144, 70'000, 512}) {
      StringSink sink;
      WriteBehind behind(sink);
      for (size_t at = 0; at < text.size(); at += cut)
        behind.write(as_bytes(std::string_view(text).substr(at, cut)));
      behind.finish();
      CHECK(sink.text() == text);
    }
  }

  TEST_CASE("nothing, and little, is written without another thread") {
    StringSink empty;
    WriteBehind(empty).finish();
    CHECK(empty.text().empty());
    ThreadSink sink;
    WriteBehind behind(sink);
    behind.write(as_bytes("little"));
    behind.finish();
    CHECK(sink.thread == std::this_thread::get_id());
  }

  TEST_CASE("much is written by another thread") {
    ThreadSink sink;
    WriteBehind behind(sink);
    behind.write(as_bytes(pattern(1'000'000)));
    behind.finish();
    CHECK(sink.thread != std::this_thread::get_id());
  }

  TEST_CASE("files come out between the writes around them, by another thread") {
    const test::TempDir dir;
    const std::string text = pattern(300'000);
    dir.write("f", text);
    StringSink sink;
    WriteBehind behind(sink);
    std::string expected;
    for (int i = 0; i < 5; ++i) {
      behind.write(as_bytes("<"));
      behind.write_file({sys::openat(dir.fd(), "f", O_RDONLY), text.size(), "f"});
      behind.write(as_bytes(">"));
      expected += "<" + text + ">";
    }
    behind.finish();
    CHECK(sink.text() == expected);
  }

  TEST_CASE("an error of the sink drops what comes behind it, and comes out of finish") {
    FullSink sink(300'000);
    WriteBehind behind(sink);
    const std::string text = pattern(100'000);
    CHECK_FALSE(behind.has_failed());
    while (!behind.has_failed()) behind.write(as_bytes(text));
    behind.write(as_bytes(text));
    CHECK(error_of([&] { behind.finish(); }) == "the receiver went away");
  }

  TEST_CASE("an error at the very end comes out of finish") {
    FullSink little(0), much(300'000);
    WriteBehind one(little), other(much);
    one.write(as_bytes("x"));
    CHECK(error_of([&] { one.finish(); }) == "the receiver went away");
    other.write(as_bytes(pattern(300'001)));
    CHECK(error_of([&] { other.finish(); }) == "the receiver went away");
  }

  TEST_CASE("what is not finished is dropped") {
    StringSink sink;
    {
      WriteBehind behind(sink);
      behind.write(as_bytes(pattern(1'000'000)));
    }
    CHECK(sink.text().size() < 1'000'000);
    CHECK(pattern(1'000'000).starts_with(sink.text()));
  }
}

}  // namespace
}  // namespace overlayd
