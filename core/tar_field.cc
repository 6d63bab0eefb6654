// SPDX-License-Identifier: Apache-2.0
#include "core/tar_field.h"

#include <algorithm>
#include <charconv>

#include "core/error.h"

namespace overlayd {

void refuse_tar(const std::string& why) { throw Error(ErrorKind::BadArchive, why); }

void refuse_number(const char* what) {
  refuse_tar(std::string("its ") + what + " is not a number");
}

namespace {

// Readers agree on the first byte of these only where it is the mark and nothing else.
int64_t base256(std::string_view bytes, const char* what) {
  const bool negative = bytes[0] == '\xff';
  if (!negative && bytes[0] != '\x80') refuse_number(what);
  uint64_t value = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    auto byte = static_cast<uint8_t>(negative ? ~bytes[i] : bytes[i]);
    if (i == 0) byte &= 0x7f;
    if (value >> 56 != 0) refuse_number(what);
    value = value << 8 | byte;
  }
  if (value >> 63 != 0) refuse_number(what);
  return static_cast<int64_t>(negative ? ~value : value);
}

}  // namespace

// Some early writers took the bytes for signed.
bool has_tar_checksum(std::string_view block) {
  constexpr TarField kChecksum{148, 8, "checksum"};
  if (block.size() < kTarBlock) return false;
  std::string_view text = block.substr(kChecksum.offset, kChecksum.size);
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  int64_t stated = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), stated, 8).ec != std::errc())
    return false;
  int64_t as_unsigned = 0, as_signed = 0;
  for (size_t i = 0; i < kTarBlock; ++i) {
    const bool own = i >= kChecksum.offset && i < kChecksum.offset + kChecksum.size;
    const char byte = own ? ' ' : block[i];
    as_unsigned += static_cast<unsigned char>(byte);
    as_signed += static_cast<signed char>(byte);
  }
  return stated == as_unsigned || stated == as_signed;
}

// libarchive stops at the first byte that is no digit, and so takes anything for a number.
int64_t tar_number(std::string_view block, const TarField& field) {
  std::string_view text = block.substr(field.offset, field.size);
  if ((text[0] & 0x80) != 0) return base256(text, field.what);
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  const auto is_blank = [](char c) { return c == ' ' || c == '\0'; };
  const auto end = std::ranges::find_if(text, is_blank);
  uint64_t value = 0;
  for (const char digit : std::string_view(text.begin(), end)) {
    if (digit < '0' || digit > '7') refuse_number(field.what);
    value = value << 3 | static_cast<uint64_t>(digit - '0');
  }
  if (!std::all_of(end, text.end(), is_blank)) refuse_number(field.what);
  return static_cast<int64_t>(value);
}

// ---------------------------------------------------------------------------------------------------
// PAX records

std::optional<int64_t> decimal(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// libarchive drops malformed records, and all behind them, with no more than a warning.
PaxRecords parse_pax_records(std::string_view body) {
  PaxRecords records;
  while (!body.empty()) {
    const size_t space = std::min(body.find(' '), body.size());
    const auto length = decimal(body.substr(0, space));
    if (!length || *length < 0 || static_cast<uint64_t>(*length) > body.size() ||
        static_cast<size_t>(*length) < space + 2 || body[static_cast<size_t>(*length) - 1] != '\n')
      refuse_tar("a PAX record is malformed");
    const auto end = static_cast<size_t>(*length);
    const std::string_view record = body.substr(space + 1, end - space - 2);
    const size_t equals = record.find('=');
    const std::string_view key = record.substr(0, equals);
    if (equals == record.npos || key.empty() || has_nul(key))
      refuse_tar("a PAX record is malformed");
    const std::string_view value = record.substr(equals + 1);
    const bool is_name = key == "path" || key == "linkpath" || key == "uname" || key == "gname";
    if (is_name && has_nul(value)) refuse_tar("a name has a NUL byte in it");
    // Sparse format 0.0 alone repeats keys, and means all of them.
    std::string& known = records[std::string(key)];
    const bool is_run = key == "GNU.sparse.offset" || key == "GNU.sparse.numbytes";
    known = is_run && !known.empty() ? known + "," + std::string(value) : std::string(value);
    body.remove_prefix(end);
  }
  return records;
}

// libarchive reads "-1.25" as 0.25 s after -1.
TarTime parse_pax_time(std::string_view text) {
  const size_t dot = std::min(text.find('.'), text.size());
  const auto seconds = decimal(text.substr(0, dot));
  std::string fraction(text.substr(std::min(dot + 1, text.size())));
  if (!seconds || fraction.find_first_not_of("0123456789") != fraction.npos)
    refuse_number("modification time");
  fraction.resize(9, '0');
  const auto nanoseconds = static_cast<int32_t>(*decimal(fraction));
  if (!text.starts_with('-') || nanoseconds == 0) return {*seconds, nanoseconds};
  if (*seconds == INT64_MIN) refuse_number("modification time");
  return {*seconds - 1, 1'000'000'000 - nanoseconds};
}

std::vector<int64_t> decimals(std::string_view text, char separator) {
  std::vector<int64_t> numbers;
  while (!text.empty()) {
    const size_t end = std::min(text.find(separator), text.size());
    const auto value = decimal(text.substr(0, end));
    if (!value) refuse_number("sparse map");
    numbers.push_back(*value);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return numbers;
}

}  // namespace overlayd
