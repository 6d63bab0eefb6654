// SPDX-License-Identifier: Apache-2.0
//
// ContentDigest: what a file holds, in 128 bits of XXH3 (xxhash): enough to see any damage, not to
// stop a forger. A hole and zeros are the same: blocks of 4096 bytes that are all zero are left
// out, and what comes behind some is preceded by its offset (8 bytes, little endian). So a file
// without such blocks has the digest that `xxh128sum` prints, and holes cost nothing. The last
// block ends where the file ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace overlayd {

struct Digest {
  uint64_t high = 0, low = 0;
  auto operator<=>(const Digest&) const = default;
};

/// 32 hexadecimal digits, as `xxh128sum` prints them, and back.
std::string to_text(const Digest& digest);
std::optional<Digest> parse_digest(std::string_view text);

/// Of plain bytes.
Digest digest_of(std::string_view bytes);

/// One thread uses an object, for one file after the other.
class ContentDigest {
 public:
  ContentDigest();
  ~ContentDigest();
  ContentDigest(ContentDigest&&) noexcept;
  ContentDigest& operator=(ContentDigest&&) noexcept;

  /// Bytes behind all that were given before. What lies between is zero.
  void add(uint64_t offset, std::span<const std::byte> bytes);

  /// The digest of a file of `size` bytes, zero behind what was given; the next one may begin.
  Digest finish(uint64_t size);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace overlayd
