// SPDX-License-Identifier: Apache-2.0
#include "core/tar_read_ahead.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "core/error.h"
#include "tests/support/eventually.h"
#include "tests/support/tar_builder.h"

namespace overlayd {
namespace {

using test::TarBuilder;

struct Member {
  TarEntry entry;
  std::string data;
  uint64_t offset = 0;
  bool operator==(const Member&) const = default;
};

template <typename Reader>
std::vector<Member> members_of(ByteSource& source) {
  Reader tar(source);
  std::vector<Member> members;
  while (auto entry = tar.next()) {
    Member member{*entry, std::string(entry->size, '\0'), tar.header_offset()};
    while (const auto run = tar.read_data())
      std::memcpy(member.data.data() + run->offset, run->bytes.data(), run->bytes.size());
    members.push_back(std::move(member));
  }
  return members;
}

// Members from nothing to several pieces, and one with holes.
TarBuilder mixed_tar() {
  TarBuilder tar;
  for (size_t i = 0; i < 2000; ++i)
    tar.file("small-" + std::to_string(i), std::string(i % 700, static_cast<char>('a' + i % 26)));
  tar.file("large", std::string(3'000'000, 'L'));
  tar.sparse_1_0({.name = "holes"}, 5'000'000, {{1'000'000, "one"}, {4'999'998, "xy"}});
  tar.file("last", "end").end();
  return tar;
}

/// Gives what it has, a little at a time, and then throws.
class BreakingSource final : public ByteSource {
 public:
  explicit BreakingSource(std::string text) : text_(std::move(text)), rest_(text_) {}
  size_t read(std::span<std::byte> buffer) override {
    const size_t count = rest_.read(buffer.first(std::min<size_t>(buffer.size(), 700)));
    if (count == 0) throw Error(ErrorKind::Aborted, "the sender went away");
    return count;
  }

 private:
  std::string text_;
  StringSource rest_;
};

/// Never ends.
class EndlessSource final : public ByteSource {
 public:
  size_t read(std::span<std::byte> buffer) override {
    const std::lock_guard lock(mutex_);
    if (next_.empty()) next_ = TarBuilder().file("again", std::string(4000, 'x')).str();
    const size_t count = std::min(buffer.size(), next_.size());
    std::memcpy(buffer.data(), next_.data(), count);
    next_.erase(0, count);
    return count;
  }

  /// Whoever reads waits until this is let go.
  std::unique_lock<std::mutex> stop() { return std::unique_lock(mutex_); }

 private:
  std::mutex mutex_;
  std::string next_;
};

template <typename Work>
std::string error_of(Work work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

TEST_SUITE("tar read ahead") {
  TEST_CASE("members, data and offsets are those of the reader") {
    const std::string text = mixed_tar().str();
    StringSource one(text), other(text);
    const auto wanted = members_of<TarReader>(one);
    REQUIRE(wanted.size() == 2003);
    CHECK(members_of<TarReadAhead>(other) == wanted);
  }

  TEST_CASE("digests are those of the data") {
    const std::string text = mixed_tar().str();
    StringSource one(text), other(text);
    const auto wanted = members_of<TarReader>(one);
    TarReadAhead tar(other);
    for (const Member& member : wanted) {
      REQUIRE(tar.next() == member.entry);
      while (tar.read_data()) {
      }
      ContentDigest digest;
      digest.add(0, std::as_bytes(std::span(member.data.data(), member.data.size())));
      CHECK(tar.digest() == digest.finish(member.data.size()));
    }
  }

  TEST_CASE("data that nobody reads is passed over") {
    const std::string text = mixed_tar().str();
    StringSource source(text);
    TarReadAhead tar(source);
    std::string last;
    size_t count = 0;
    for (; const auto entry = tar.next(); ++count) last = entry->name;
    CHECK(count == 2003);
    CHECK(last == "last");
  }

  TEST_CASE("data stays for as long as it is kept") {
    std::string wanted, seen;
    TarBuilder tar;
    for (int i = 0; i < 2000; ++i) {
      const std::string content(1000, static_cast<char>('a' + i % 26));
      tar.file("f", content);
      wanted += content;
    }
    const std::string text = tar.end().str();
    StringSource source(text);
    TarReadAhead reader(source);
    std::vector<TarReader::Data> kept;
    const auto let_go = [&] {
      for (const TarReader::Data& run : kept) {
        seen.append(reinterpret_cast<const char*>(run.bytes.data()), run.bytes.size());
      }
      kept.clear();
    };
    while (reader.next()) {
      while (auto run = reader.read_data()) kept.push_back(*std::move(run));
      if (kept.size() >= 190) let_go();  // of three or four pieces
    }
    let_go();
    CHECK((seen == wanted));
  }

  TEST_CASE("an error comes when everything before it has been given") {
    const auto read = [](auto&& reader) {
      CHECK(reader.next()->name == "a");
      CHECK(reader.next()->name == "b");
      size_t bytes = 0;
      const auto read_on = [&] {
        while (const auto run = reader.read_data()) bytes += run->bytes.size();
        reader.next();
      };
      CHECK(error_of(read_on) == "the sender went away");
      CHECK(error_of([&] { reader.next(); }) == "the sender went away");
      return bytes;
    };
    const std::string text =
        TarBuilder().file("a", "1").file("b", std::string(2'000'000, '2')).str();
    BreakingSource one(text), other(text);
    const size_t bytes = read(TarReader(one));
    CHECK(bytes > 1'000'000);
    CHECK(read(TarReadAhead(other)) == bytes);
  }

  TEST_CASE("what the tar does wrong is told at its place") {
    const std::string text = TarBuilder().file("good", "1").str() + std::string(512, 'g');
    StringSource source(text);
    TarReadAhead tar(source);
    CHECK(tar.next()->name == "good");
    CHECK(tar.read_data()->bytes.size() == 1);
    CHECK(!tar.read_data());
    CHECK(!tar.read_data());
    CHECK(error_of([&] { tar.next(); }).find("offset 1024") != std::string::npos);
  }

  TEST_CASE("an endless stream can be left in the middle") {
    EndlessSource source;
    TarReadAhead tar(source);
    for (int i = 0; i < 1000; ++i) CHECK(tar.next()->name == "again");
  }

  TEST_CASE("a stream of which nothing is read can be left") {
    EndlessSource source;
    const TarReadAhead tar(source);
    CHECK(tar.header_offset() == 0);
  }

  TEST_CASE("readers that are ahead share a reserve, and give back what they took") {
    ReadAheadReserve reserve(5);
    {
      EndlessSource one, other;
      TarReadAhead first(one, {}, &reserve);
      CHECK(test::eventually([&] { return reserve.left() == 0; }));
      TarReadAhead second(other, {}, &reserve);
      for (int i = 0; i < 1000; ++i) {
        CHECK(first.next()->name == "again");
        CHECK(second.next()->name == "again");
      }
    }
    CHECK(reserve.left() == 5);
  }

  TEST_CASE("whoever is about to wait is told before") {
    EndlessSource source;
    auto stop = source.stop();
    size_t waits = 0;
    TarReadAhead tar(source, [&] {
      ++waits;
      stop.unlock();
    });
    REQUIRE(tar.next());
    CHECK(waits == 1);
    stop.lock();
    while (waits == 1) REQUIRE(tar.next());
    CHECK(waits == 2);
  }
}

}  // namespace
}  // namespace overlayd
