// SPDX-License-Identifier: Apache-2.0
#include "core/content_digest.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/stream.h"

namespace overlayd {
namespace {

constexpr size_t kBlock = 4096;
constexpr size_t kHalf = 16;  // digits of one half of a digest

bool is_zero(std::span<const std::byte> bytes) {
  return bytes[0] == std::byte{0} &&
         std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

Digest from_xxh(const XXH128_hash_t& hash) { return {.high = hash.high64, .low = hash.low64}; }

void append_half(std::string& text, uint64_t half) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (size_t shift = 64; shift > 0;) text += kDigits[half >> (shift -= 4) & 15];
}

std::optional<uint64_t> parse_half(std::string_view text) {
  uint64_t half = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), half, 16);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return half;
}

}  // namespace

std::string to_text(const Digest& digest) {
  std::string text;
  text.reserve(2 * kHalf);
  append_half(text, digest.high);
  append_half(text, digest.low);
  return text;
}

std::optional<Digest> parse_digest(std::string_view text) {
  if (text.size() != 2 * kHalf) return std::nullopt;
  const auto high = parse_half(text.substr(0, kHalf)), low = parse_half(text.substr(kHalf));
  if (!high || !low) return std::nullopt;
  return Digest{.high = *high, .low = *low};
}

Digest digest_of(std::string_view bytes) {
  return from_xxh(XXH3_128bits(bytes.data(), bytes.size()));
}

struct ContentDigest::Impl {
  Impl() { XXH3_128bits_reset(&state); }

  void feed(uint64_t offset, std::span<const std::byte> bytes);
  void feed_blocks(uint64_t offset, std::span<const std::byte> blocks);
  void finish_block(size_t length);

  XXH3_state_t state;
  uint64_t fed_to = 0;  // in the file

  // A block that is not known to its end; zero where nothing was given.
  std::array<std::byte, kBlock> block{};
  uint64_t block_offset = 0;
  size_t filled = 0;
};

void ContentDigest::Impl::feed(uint64_t offset, std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  if (offset != fed_to) {
    std::array<unsigned char, 8> text{};
    for (size_t i = 0; i < text.size(); ++i) {
      text[i] = static_cast<unsigned char>(offset >> (8 * i));
    }
    XXH3_128bits_update(&state, text.data(), text.size());
  }
  XXH3_128bits_update(&state, bytes.data(), bytes.size());
  fed_to = offset + bytes.size();
}

// Those next to each other at once.
void ContentDigest::Impl::feed_blocks(uint64_t offset, std::span<const std::byte> blocks) {
  size_t begin = 0;
  for (size_t at = 0; at < blocks.size(); at += kBlock) {
    if (!is_zero(blocks.subspan(at, kBlock))) continue;
    feed(offset + begin, blocks.subspan(begin, at - begin));
    begin = at + kBlock;
  }
  feed(offset + begin, blocks.subspan(begin));
}

void ContentDigest::Impl::finish_block(size_t length) {
  if (filled == 0) return;
  const std::span<std::byte> given = std::span(block).first(filled);
  if (!is_zero(given)) feed(block_offset, std::span(block).first(length));
  std::ranges::fill(given, std::byte{0});
  filled = 0;
}

ContentDigest::ContentDigest() : impl_(std::make_unique<Impl>()) {}
ContentDigest::~ContentDigest() = default;
ContentDigest::ContentDigest(ContentDigest&&) noexcept = default;
ContentDigest& ContentDigest::operator=(ContentDigest&&) noexcept = default;

void ContentDigest::add(uint64_t offset, std::span<const std::byte> bytes) {
  Impl& at = *impl_;
  while (!bytes.empty()) {
    const size_t in_block = offset % kBlock;
    if (offset - in_block != at.block_offset) {
      at.finish_block(kBlock);
      at.block_offset = offset - in_block;
    }
    size_t count = 0;
    if (in_block == 0 && bytes.size() >= kBlock) {
      count = bytes.size() - bytes.size() % kBlock;
      at.feed_blocks(offset, bytes.first(count));
    } else {
      count = std::min(bytes.size(), kBlock - in_block);
      copy_bytes(bytes.first(count), std::span(at.block).subspan(in_block));
      at.filled = in_block + count;
    }
    offset += count;
    bytes = bytes.subspan(count);
  }
}

Digest ContentDigest::finish(uint64_t size) {
  Impl& at = *impl_;
  at.finish_block(static_cast<size_t>(std::min<uint64_t>(size - at.block_offset, kBlock)));
  at.block_offset = at.fed_to = 0;
  const Digest digest = from_xxh(XXH3_128bits_digest(&at.state));
  XXH3_128bits_reset(&at.state);
  return digest;
}

}  // namespace overlayd
