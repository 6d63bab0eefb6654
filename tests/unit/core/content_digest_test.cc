// SPDX-License-Identifier: Apache-2.0
#include "core/content_digest.h"

#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

namespace overlayd {
namespace {

constexpr size_t kBlock = 4096;

using Runs = std::vector<std::pair<uint64_t, std::string>>;

Digest digest_of_runs(const Runs& runs, uint64_t size) {
  ContentDigest digest;
  for (const auto& [offset, text] : runs) {
    digest.add(offset, std::as_bytes(std::span(text.data(), text.size())));
  }
  return digest.finish(size);
}

std::string noise(size_t size, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::string text(size, '\0');
  for (char& byte : text) byte = static_cast<char>(random() % 255 + 1);
  return text;
}

/// `text` in pieces of random sizes.
Runs in_pieces(const std::string& text, unsigned seed) {
  std::mt19937 random(seed);
  Runs runs;
  for (size_t at = 0; at < text.size();) {
    const size_t limit = random() % 2 == 0 ? 3 * kBlock : 700;
    runs.emplace_back(at, text.substr(at, random() % limit + 1));
    at += runs.back().second.size();
  }
  return runs;
}

/// The same content, with what is zero left out at random.
Runs with_holes(const std::string& text, unsigned seed) {
  Runs runs;
  for (auto& [offset, piece] : in_pieces(text, seed)) {
    if (piece.find_first_not_of('\0') != std::string::npos) runs.emplace_back(offset, piece);
  }
  return runs;
}

TEST_SUITE("content digest") {
  TEST_CASE("a digest is what xxh128sum prints") {
    CHECK(to_text(digest_of_runs({}, 0)) == "99aa06d3014798d86001c324468d497f");
    CHECK(to_text(digest_of_runs({{0, "a"}}, 1)) == "a96faf705af16834e6c632b61e964e1f");
    for (const size_t size : {1UL, 239UL, 4095UL, 4096UL, 4097UL, 100'000UL, 1'000'000UL}) {
      CAPTURE(size);
      const std::string text = noise(size);
      CHECK(digest_of_runs({{0, text}}, size) == digest_of(text));
    }
  }

  TEST_CASE("how the bytes come makes no difference") {
    const std::string text = noise(100'000);
    for (unsigned seed = 0; seed < 50; ++seed) {
      CHECK(digest_of_runs(in_pieces(text, seed), text.size()) == digest_of(text));
    }
  }

  TEST_CASE("a hole is as good as zeros, wherever it begins and ends") {
    std::string text = noise(60'000);
    text.replace(5000, 30'000, 30'000, '\0');
    text.replace(50'000, 10'000, 10'000, '\0');
    const Digest digest = digest_of_runs({{0, text}}, text.size());
    CHECK(digest != digest_of(text));
    for (unsigned seed = 0; seed < 50; ++seed) {
      CHECK(digest_of_runs(in_pieces(text, seed), text.size()) == digest);
      CHECK(digest_of_runs(with_holes(text, seed), text.size()) == digest);
    }
    CHECK(digest_of_runs({{0, text.substr(0, 5000)}, {35'000, text.substr(35'000, 15'000)}},
                         text.size()) == digest);
  }

  TEST_CASE("where the data lies in a file of holes does") {
    const uint64_t size = uint64_t{1} << 62;
    std::set<Digest> seen;
    for (const uint64_t offset : {uint64_t{0}, uint64_t{1}, uint64_t{kBlock}, size - 5000}) {
      seen.insert(digest_of_runs({{offset, "data"}}, size));
    }
    CHECK(seen.size() == 4);
  }

  TEST_CASE("one bit makes a difference, anywhere") {
    const std::string text = noise(20'000);
    for (const size_t at : {0U, 4095U, 4096U, 12'345U, 19'999U}) {
      std::string other = text;
      other[at] = static_cast<char>(other[at] ^ 16);
      CHECK(digest_of_runs({{0, other}}, other.size()) != digest_of(text));
    }
  }

  TEST_CASE("one file after the other, each for itself") {
    ContentDigest digest;
    for (unsigned seed = 0; seed < 20; ++seed) {
      const std::string text = noise(seed * 1000, seed);
      digest.add(0, std::as_bytes(std::span(text.data(), text.size())));
      CHECK(digest.finish(text.size()) == digest_of(text));
    }
  }

  TEST_CASE("text and back") {
    const Digest digest{.high = 0x0123456789abcdef, .low = 7};
    CHECK(to_text(digest) == "0123456789abcdef0000000000000007");
    CHECK(parse_digest(to_text(digest)) == digest);
    for (const char* const wrong :
         {"", "0123", "0123456789abcdef000000000000000g", "0123456789abcdef00000000000000007",
          "-123456789abcdef0000000000000007"}) {
      CHECK(!parse_digest(wrong));
    }
  }
}

}  // namespace
}  // namespace overlayd
