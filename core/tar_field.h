// SPDX-License-Identifier: Apache-2.0
//
// The smallest parts of tar headers: where the fields of a header block are, its numbers, and PAX
// records. Stricter than other readers, which take much for a number. Everything here throws
// Error(BadArchive) for what it does not take. Pure functions; any thread.
//
//   0 name 100 mode 108 uid 116 gid 124 size 136 mtime 148 checksum 156 type 157 link name
//   257 magic "ustar\0" (POSIX) or "ustar  \0" (GNU) 329 device major 337 minor
//   345 prefix (POSIX), or atime, ctime, 386 sparse map, 483 real size (GNU)
//
// Source: POSIX pax, "ustar Interchange Format" and "pax Header Block"; GNU tar's manual, "Basic
// Tar Format" and "Storing Sparse Files".
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/tar_entry.h"

namespace overlayd {

inline constexpr size_t kTarBlock = 512;

/// Place of a field in a header block, and its name for messages.
struct TarField {
  size_t offset;
  size_t size;
  const char* what;
};

[[noreturn]] void refuse_tar(const std::string& why);
/// "its <what> is not a number".
[[noreturn]] void refuse_number(const char* what);

inline bool has_nul(std::string_view text) { return text.find('\0') != text.npos; }
inline bool is_zero(std::string_view bytes) { return bytes.find_first_not_of('\0') == bytes.npos; }
/// Rounded up to whole blocks.
inline size_t padded(size_t size) { return (size + kTarBlock - 1) / kTarBlock * kTarBlock; }

/// Whether `block` is a whole block with the checksum of a header. Throws nothing.
bool has_tar_checksum(std::string_view block);

/// Octal, or base 256 where the first byte is 0x80 or 0xff.
int64_t tar_number(std::string_view block, const TarField& field);

/// All of `text`, or nullopt.
std::optional<int64_t> decimal(std::string_view text);
/// The numbers of a sparse map.
std::vector<int64_t> decimals(std::string_view text, char separator);

/// By key, in an order of their own; of several with one key the last. Those that sparse format 0.0
/// repeats are joined by commas.
using PaxRecords = std::map<std::string, std::string, std::less<>>;
PaxRecords parse_pax_records(std::string_view body);

/// Seconds with a fraction, of which nanoseconds are kept.
TarTime parse_pax_time(std::string_view text);

}  // namespace overlayd
