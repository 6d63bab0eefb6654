// SPDX-License-Identifier: Apache-2.0
#include "core/tar_writer.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <iterator>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.h"

namespace overlayd {
namespace {

constexpr size_t kBlock = 512;
constexpr size_t kNameSize = 100;
constexpr size_t kPrefixSize = 155;
constexpr size_t kBufferSize = 128 * 1024;
// What Go's writer and the common readers take for the records of one 'x' header.
constexpr size_t kMaxRecords = 1024 * 1024;
// Go's zero time.Time, the first second of the year 1: its writer takes it for "no time" and writes
// 0.
constexpr TarTime kGoZeroTime{-62135596800, 0};

struct Field {
  size_t offset;
  size_t size;
};
constexpr Field kName{0, kNameSize};
constexpr Field kMode{100, 8};
constexpr Field kUid{108, 8};
constexpr Field kGid{116, 8};
constexpr Field kSize{124, 12};
constexpr Field kMtime{136, 12};
constexpr Field kChecksum{148, 8};
constexpr Field kType{156, 1};
constexpr Field kLinkName{157, kNameSize};
constexpr Field kMagic{257, 8};  // with the version
constexpr Field kDevMajor{329, 8};
constexpr Field kDevMinor{337, 8};
constexpr Field kPrefix{345, kPrefixSize};

bool is_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

std::string without_non_ascii(std::string_view text) {
  std::string out;
  std::ranges::copy_if(text, std::back_inserter(out),
                       [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  return out;
}

std::string_view without_trailing_slashes(std::string_view text) {
  while (text.ends_with('/')) text.remove_suffix(1);
  return text;
}

// One digit's worth of the field is for the closing NUL.
bool fits_octal(uint64_t value, const Field& field) { return value >> (3 * (field.size - 1)) == 0; }

class Block {
 public:
  Block() { set(kMagic, std::string_view("ustar\00000", 8)); }

  void set(const Field& field, std::string_view text) {
    std::copy_n(text.data(), std::min(text.size(), field.size), at(field));
  }

  // A name that is cut must not end in '/': some readers would take a file for a directory.
  void set_name(const Field& field, std::string_view text) {
    set(field, text);
    if (text.size() <= field.size || text[field.size - 1] != '/') return;
    at(field)[without_trailing_slashes(text.substr(0, field.size)).size()] = '\0';
  }

  // What does not fit is in a PAX record, and the field says 0.
  void set_octal(const Field& field, uint64_t value) {
    if (!fits_octal(value, field)) value = 0;
    char* digit = at(field) + field.size - 1;
    *digit = '\0';
    while (digit != at(field)) {
      *--digit = static_cast<char>('0' + (value & 7));
      value >>= 3;
    }
  }

  std::string_view sealed() {
    set(kChecksum, "        ");
    uint64_t sum = 0;
    for (const char c : bytes_) sum += static_cast<unsigned char>(c);
    set_octal({kChecksum.offset, kChecksum.size - 1}, sum);  // and then a space
    return {bytes_.data(), bytes_.size()};
  }

 private:
  char* at(const Field& field) { return bytes_.data() + field.offset; }

  std::array<char, kBlock> bytes_{};
};

struct SplitName {
  std::string_view prefix;
  std::string_view name;
};

// The name in the two fields of ustar; nullopt when no '/' is at a place that suits both.
std::optional<SplitName> split_name(std::string_view name) {
  if (name.size() <= kNameSize) return SplitName{{}, name};
  std::string_view searched = name;
  if (name.size() > kPrefixSize + 1) {
    searched = name.substr(0, kPrefixSize + 1);
  } else if (name.ends_with('/')) {
    searched.remove_suffix(1);  // the slash of a directory belongs to its name
  }
  const size_t slash = searched.rfind('/');
  if (slash == std::string_view::npos || slash == 0) return std::nullopt;
  const SplitName split{name.substr(0, slash), name.substr(slash + 1)};
  if (split.name.empty() || split.name.size() > kNameSize) return std::nullopt;
  return split;
}

// The shortest equivalent path, by its text alone: as Go's path.Clean, which names 'x' headers.
std::string clean_path(std::string_view path) {
  const bool rooted = path.starts_with('/');
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    const size_t length = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, length);
    path.remove_prefix(std::min(length + 1, path.size()));
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      parts.push_back(part);
    } else if (!parts.empty() && parts.back() != "..") {
      parts.pop_back();
    } else if (!rooted) {
      parts.push_back(part);
    }
  }
  std::string out = rooted ? "/" : "";
  for (const std::string_view part : parts) {
    if (out.size() > (rooted ? 1 : 0)) out += '/';
    out += part;
  }
  return out.empty() ? "." : out;
}

std::string extension_header_name(std::string_view name) {
  const size_t slash = name.rfind('/');
  const size_t directory = slash == std::string_view::npos ? 0 : slash + 1;
  std::string path(name.substr(0, directory));
  path += "PaxHeaders.0/";
  path += name.substr(directory);
  const std::string ascii = without_non_ascii(clean_path(path));
  return std::string(without_trailing_slashes(std::string_view(ascii).substr(0, kNameSize)));
}

std::string pax_time(const TarTime& time) {
  if (time.nanoseconds == 0) return std::to_string(time.seconds);
  // -1.75 s is stored as -2 s and 250 ms.
  const bool negative = time.seconds < 0;
  const int64_t seconds = negative ? -(time.seconds + 1) : time.seconds;
  const int32_t nanoseconds = negative ? 1'000'000'000 - time.nanoseconds : time.nanoseconds;
  std::string fraction = std::to_string(nanoseconds);
  fraction.insert(0, 9 - fraction.size(), '0');
  fraction.erase(fraction.find_last_not_of('0') + 1);
  return (negative ? "-" : "") + std::to_string(seconds) + "." + fraction;
}

// "<length> <key>=<value>\n", where the length counts its own digits.
std::string pax_record(std::string_view key, std::string_view value) {
  const size_t rest = key.size() + value.size() + 3;
  size_t length = rest + std::to_string(rest).size();
  length = rest + std::to_string(length).size();
  std::string record = std::to_string(length);
  record += ' ';
  record += key;
  record += '=';
  record += value;
  record += '\n';
  return record;
}

size_t padding_of(uint64_t size) { return (kBlock - size % kBlock) % kBlock; }

void check(const TarEntry& entry) {
  const auto refuse = [&](const std::string& why) {
    throw Error(ErrorKind::InvalidArgument, "tar member " + quoted(entry.name) + " " + why);
  };
  const auto has_nul = [](std::string_view text) { return text.find('\0') != text.npos; };
  if (has_nul(entry.name)) refuse("has a NUL byte in its name");
  if (has_nul(entry.link_name)) refuse("has a NUL byte in its link name");
  if (!fits_octal(entry.mode, kMode)) refuse("has a mode that tar cannot carry");
  if (!fits_octal(entry.dev_major, kDevMajor) || !fits_octal(entry.dev_minor, kDevMinor))
    refuse("has a device number that tar cannot carry");
  if (entry.uid > INT64_MAX || entry.gid > INT64_MAX) refuse("has an owner that tar cannot carry");
  if (entry.size > INT64_MAX) refuse("has a size that tar cannot carry");
  if (entry.mtime.nanoseconds < 0 || entry.mtime.nanoseconds >= 1'000'000'000)
    refuse("has a modification time with a bad fraction");
  const bool may_end_in_slash = entry.type == TarType::Directory ||
                                entry.type == TarType::Symlink || entry.type == TarType::HardLink;
  if (entry.name.ends_with('/') && !may_end_in_slash) refuse("ends in '/' but is no directory");
  for (const auto& [name, value] : entry.xattrs) {
    if (has_nul(name) || name.find('=') != name.npos)
      refuse("has an extended attribute " + quoted(name) + " that tar cannot carry");
  }
}

// What ustar cannot say, by PAX key. The order of the keys is the order in the tar.
std::map<std::string, std::string> pax_records(const TarEntry& entry) {
  std::map<std::string, std::string> records;
  // A name that could be split still gets its record, for when another field forces PAX.
  if (entry.name.size() > kNameSize || !is_ascii(entry.name)) records["path"] = entry.name;
  if (entry.link_name.size() > kNameSize || !is_ascii(entry.link_name))
    records["linkpath"] = entry.link_name;
  if (!fits_octal(entry.uid, kUid)) records["uid"] = std::to_string(entry.uid);
  if (!fits_octal(entry.gid, kGid)) records["gid"] = std::to_string(entry.gid);
  if (!fits_octal(entry.size, kSize)) records["size"] = std::to_string(entry.size);
  // As unsigned, times before 1970 do not fit either.
  const bool octal_time = fits_octal(static_cast<uint64_t>(entry.mtime.seconds), kMtime);
  if (entry.mtime != kGoZeroTime && (!octal_time || entry.mtime.nanoseconds != 0))
    records["mtime"] = pax_time(entry.mtime);
  for (const auto& [name, value] : entry.xattrs) records["SCHILY.xattr." + name] = value;
  return records;
}

bool is_ustar(const TarEntry& entry, const std::map<std::string, std::string>& records) {
  const bool only_the_name = records.size() == 1 && records.contains("path");
  return records.empty() || (only_the_name && is_ascii(entry.name) && split_name(entry.name));
}

Block main_block(const TarEntry& entry) {
  Block block;
  block.set_octal(kMode, entry.mode);
  block.set_octal(kUid, entry.uid);
  block.set_octal(kGid, entry.gid);
  block.set_octal(kSize, entry.size);
  block.set_octal(kMtime, static_cast<uint64_t>(entry.mtime.seconds));
  block.set(kType, std::string(1, static_cast<char>(entry.type)));
  block.set_name(kLinkName, without_non_ascii(entry.link_name));
  block.set_octal(kDevMajor, entry.dev_major);
  block.set_octal(kDevMinor, entry.dev_minor);
  return block;
}

// The 'x' header and its records, up to a block boundary.
std::string extension_blocks(const TarEntry& entry,
                             const std::map<std::string, std::string>& records) {
  std::string body;
  for (const auto& [key, value] : records) body += pax_record(key, value);
  if (body.size() > kMaxRecords) {
    throw Error(ErrorKind::InvalidArgument,
                "tar member " + quoted(entry.name) + " needs more than 1 MiB of PAX records");
  }
  Block block;
  block.set(kName, extension_header_name(entry.name));
  for (const Field& field : {kMode, kUid, kGid, kMtime}) block.set_octal(field, 0);
  block.set_octal(kSize, body.size());
  block.set(kType, "x");
  std::string out(block.sealed());
  out += body;
  out.append(padding_of(body.size()), '\0');
  return out;
}

[[noreturn]] void programming_error() { std::abort(); }

}  // namespace

std::string encode_tar_header(const TarEntry& entry) {
  check(entry);
  const auto records = pax_records(entry);
  Block block = main_block(entry);
  if (is_ustar(entry, records)) {
    const SplitName split = *split_name(entry.name);
    block.set(kName, split.name);
    block.set(kPrefix, split.prefix);
    return std::string(block.sealed());
  }
  block.set_name(kName, without_non_ascii(entry.name));
  std::string out = extension_blocks(entry, records);
  out += block.sealed();
  return out;
}

TarWriter::TarWriter(ByteSink& sink) : sink_(sink), buffer_(Buffer::with_capacity(kBufferSize)) {}

void TarWriter::begin(const TarEntry& entry) {
  if (remaining_ > 0) programming_error();
  put(as_bytes(encode_tar_header(entry)));
  remaining_ = entry.type == TarType::Regular ? entry.size : 0;
  padding_ = padding_of(remaining_);
}

void TarWriter::data(std::span<const std::byte> bytes) {
  if (bytes.size() > remaining_) programming_error();
  remaining_ -= bytes.size();
  put(bytes);
  if (remaining_ == 0) pad();
}

void TarWriter::finish() {
  if (remaining_ > 0) programming_error();
  put(as_bytes(std::string(2 * kBlock, '\0')));
  sink_.write(buffer_.bytes());
  buffer_.used = 0;
}

std::span<std::byte> TarWriter::room() {
  if (buffer_.free().empty()) sink_.write_buffer(buffer_);
  const std::span<std::byte> free = buffer_.free();
  return free.first(static_cast<size_t>(std::min<uint64_t>(free.size(), remaining_)));
}

void TarWriter::filled(size_t count) {
  if (count > remaining_ || count > buffer_.free().size()) programming_error();
  buffer_.used += count;
  remaining_ -= count;
  if (remaining_ == 0) pad();
}

void TarWriter::file(FileData file) {
  if (file.size != remaining_) programming_error();
  if (buffer_.used > 0) sink_.write_buffer(buffer_);
  sink_.write_file(std::move(file));
  remaining_ = 0;
  pad();
}

void TarWriter::put(std::span<const std::byte> bytes) {
  if (bytes.size() > buffer_.free().size() && buffer_.used > 0) sink_.write_buffer(buffer_);
  if (bytes.size() > buffer_.capacity) {
    sink_.write(bytes);
    return;
  }
  copy_bytes(bytes, buffer_.free());
  buffer_.used += bytes.size();
}

void TarWriter::pad() {
  static constexpr std::array<std::byte, kBlock> kZeros{};
  put(std::span(kZeros).first(std::exchange(padding_, 0)));
}

}  // namespace overlayd
