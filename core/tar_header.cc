// SPDX-License-Identifier: Apache-2.0
#include "core/tar_header.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "core/error.h"

namespace overlayd {

struct TarField {
  size_t offset;
  size_t size;
  const char* what;
};

namespace {

// Readers stack a call per extension header; honest writers use one or two.
constexpr ptrdiff_t kMaxGlobalHeaders = 8;

[[noreturn]] void refuse(const std::string& why) { throw Error(ErrorKind::BadArchive, why); }

bool has_nul(std::string_view text) { return text.find('\0') != text.npos; }

bool is_zero(std::string_view bytes) { return bytes.find_first_not_of('\0') == bytes.npos; }

size_t padded(size_t size) { return (size + kTarBlock - 1) / kTarBlock * kTarBlock; }

// ---------------------------------------------------------------------------------------------------
// Fields of a header block

constexpr TarField kName{0, 100, "name"};
constexpr TarField kMode{100, 8, "mode"};
constexpr TarField kUid{108, 8, "uid"};
constexpr TarField kGid{116, 8, "gid"};
constexpr TarField kSize{124, 12, "size"};
constexpr TarField kMtime{136, 12, "modification time"};
constexpr TarField kLinkName{157, 100, "link name"};
constexpr TarField kDevMajor{329, 8, "device number"};
constexpr TarField kDevMinor{337, 8, "device number"};
constexpr TarField kGnuAtime{345, 12, "access time"};
constexpr TarField kGnuCtime{357, 12, "change time"};
constexpr TarField kPrefix{345, 155, "prefix"};
constexpr TarField kStarPrefix{345, 131, "prefix"};
constexpr size_t kTypeOffset = 156;
constexpr size_t kMagicOffset = 257;
constexpr size_t kGnuSparseOffset = 386;    // the first of four entries
constexpr size_t kGnuRealSizeOffset = 483;  // of a sparse file
constexpr size_t kStarTrailerOffset = 508;
constexpr std::string_view kUstarMagic{"ustar\0", 6};
constexpr std::string_view kGnuMagic{"ustar  \0", 8};
constexpr std::string_view kStarTrailer{"tar\0", 4};

[[noreturn]] void refuse_number(const char* what) {
  refuse(std::string("its ") + what + " is not a number");
}

int64_t base256(std::string_view bytes, const char* what) {
  const bool negative = (bytes[0] & 0x40) != 0;
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

// libarchive stops at the first byte that is no digit, and so takes anything for a number.
int64_t number(std::string_view block, const TarField& field) {
  std::string_view text = block.substr(field.offset, field.size);
  if ((text[0] & 0x80) != 0) return base256(text, field.what);
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  const std::string_view digits = text.substr(0, text.find_first_of(std::string_view(" \0", 2)));
  const bool clean_end =
      text.find_first_not_of(std::string_view(" \0", 2), digits.size()) == text.npos;
  uint64_t value = 0;
  for (const char digit : digits) {
    if (digit < '0' || digit > '7') refuse_number(field.what);
    value = value << 3 | static_cast<uint64_t>(digit - '0');
  }
  if (!clean_end) refuse_number(field.what);
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
PaxRecords parse_records(std::string_view body) {
  PaxRecords records;
  while (!body.empty()) {
    const size_t space = std::min(body.find(' '), body.size());
    const auto length = decimal(body.substr(0, space));
    if (!length || *length < 0 || static_cast<uint64_t>(*length) > body.size() ||
        static_cast<size_t>(*length) < space + 2 || body[static_cast<size_t>(*length) - 1] != '\n')
      refuse("a PAX record is malformed");
    const auto end = static_cast<size_t>(*length);
    const std::string_view record = body.substr(space + 1, end - space - 2);
    const size_t equals = record.find('=');
    const std::string_view key = record.substr(0, equals);
    if (equals == record.npos || key.empty() || has_nul(key)) refuse("a PAX record is malformed");
    const std::string_view value = record.substr(equals + 1);
    const bool is_name = key == "path" || key == "linkpath" || key == "uname" || key == "gname";
    if (is_name && has_nul(value)) refuse("a name has a NUL byte in it");
    records.insert_or_assign(std::string(key), std::string(value));
    body.remove_prefix(end);
  }
  return records;
}

// libarchive reads "-1.25" as 0.25 s after -1.
TarTime parse_time(std::string_view text) {
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

// ---------------------------------------------------------------------------------------------------
// Pieces of headers

bool is_extension(char type) {
  return std::string_view("gxLK").find(type) != std::string_view::npos;
}

// Which of several headers of a kind wins, and whether PAX or GNU wins, differs between readers.
void check_order(char type, std::string& seen) {
  const bool first = seen.find_first_not_of('g') == seen.npos;
  const bool fits = first || (type != 'g' && type != 'x' && seen.find(type) == seen.npos &&
                              seen.find('x') == seen.npos);
  seen += type;
  if (!fits || std::ranges::count(seen, 'g') > kMaxGlobalHeaders)
    refuse("it has contradicting extension headers");
}

std::string gnu_name(std::string_view body) {
  const std::string_view text = body.substr(0, body.find('\0'));
  if (!is_zero(body.substr(text.size()))) refuse("a name has a NUL byte in it");
  return std::string(text);
}

void check_name(const std::string& name, const std::string& what) {
  if (name.empty()) refuse("its " + what + " is empty");
  if (has_nul(name)) refuse("its " + what + " has a NUL byte in it");
  if (name.size() > kMaxTarName)
    refuse("its " + what + " is longer than " + std::to_string(kMaxTarName) + " bytes");
}

[[noreturn]] void refuse_sparse() { refuse("its kind of sparse file is unsupported"); }

}  // namespace

// ---------------------------------------------------------------------------------------------------

TarHeader::TarHeader(std::string_view raw) {
  std::string seen;
  for (block_ = take_block(raw); is_extension(type()); block_ = take_block(raw))
    read_extension(raw, seen);
  map_ = raw;
}

// The next header block, its numbers good.
std::string_view TarHeader::take_block(std::string_view& raw) {
  if (raw.size() < kTarBlock) refuse("its headers are incomplete");
  const std::string_view block = raw.substr(0, kTarBlock);
  raw.remove_prefix(kTarBlock);
  gnu_ = block.substr(kMagicOffset, kGnuMagic.size()) == kGnuMagic;
  ustar_ = block.substr(kMagicOffset, kUstarMagic.size()) == kUstarMagic;
  for (const TarField& field : {kMode, kUid, kGid, kSize, kMtime}) number(block, field);
  for (const TarField& field : {kDevMajor, kDevMinor}) {
    if (gnu_ || ustar_) number(block, field);
  }
  // Early Go wrote a ustar prefix into GNU headers where these are.
  for (const TarField& field : {kGnuAtime, kGnuCtime}) {
    if (gnu_ && block[field.offset] != 0) number(block, field);
  }
  return block;
}

void TarHeader::read_extension(std::string_view& raw, std::string& seen) {
  check_order(type(), seen);
  const uint64_t size = natural(kSize);
  if (size > raw.size()) refuse("an extension header is truncated");
  const std::string_view body = raw.substr(0, size);
  raw.remove_prefix(std::min(padded(size), raw.size()));
  const PaxRecords records = type() == 'x' || type() == 'g' ? parse_records(body) : PaxRecords();
  if (type() == 'x') records_ = records;
  if (type() == 'L') records_["path"] = gnu_name(body);
  if (type() == 'K') records_["linkpath"] = gnu_name(body);
}

char TarHeader::type() const { return block_[kTypeOffset]; }

std::string TarHeader::text(const TarField& field) const {
  const std::string_view bytes = block_.substr(field.offset, field.size);
  return std::string(bytes.substr(0, bytes.find('\0')));
}

// A number that cannot be negative, from its PAX record or the block.
uint64_t TarHeader::natural(const TarField& field) const {
  int64_t value = number(block_, field);
  if (const auto found = records_.find(field.what); found != records_.end()) {
    // libarchive takes an empty record for 0, other readers for "as in the block".
    const auto replaced = decimal(found->second);
    if (!replaced) refuse_number(field.what);
    value = *replaced;
  }
  if (value < 0) refuse(std::string("its ") + field.what + " is negative");
  return static_cast<uint64_t>(value);
}

// The value; nullptr for none and for an empty one, which stands for "as in the block".
const std::string* TarHeader::record(std::string_view key) const {
  const auto found = records_.find(key);
  return found == records_.end() || found->second.empty() ? nullptr : &found->second;
}

std::string TarHeader::name() const {
  for (const char* key : {"GNU.sparse.name", "path"}) {
    if (const std::string* value = record(key)) return *value;
  }
  const std::string name = text(kName);
  const bool star = ustar_ && block_.substr(kStarTrailerOffset) == kStarTrailer;
  const std::string prefix = ustar_ ? text(star ? kStarPrefix : kPrefix) : "";
  return prefix.empty() ? name : prefix + "/" + name;
}

TarEntry TarHeader::entry() const {
  TarEntry entry{.name = name(), .type = tar_type()};
  check_name(entry.name, "name");
  if (entry.type == TarType::Regular && entry.name.ends_with('/'))
    refuse("a regular file's name ends in '/'");  // a directory to some readers
  entry.mode = static_cast<uint32_t>(number(block_, kMode)) & 07777;
  entry.uid = natural(kUid);
  entry.gid = natural(kGid);
  entry.mtime = mtime();
  entry.xattrs = xattrs();
  set_device(entry);
  if (entry.type == TarType::HardLink || entry.type == TarType::Symlink) {
    const std::string* target = record("linkpath");
    entry.link_name = target != nullptr ? *target : text(kLinkName);
    check_name(entry.link_name, "link target");
  }
  entry.size = entry.type == TarType::Regular ? data_size() : 0;
  check_sparse(entry.type);
  return entry;
}

TarTime TarHeader::mtime() const {
  const std::string* time = record("mtime");
  return time != nullptr ? parse_time(*time) : TarTime{number(block_, kMtime), 0};
}

TarType TarHeader::tar_type() const {
  switch (type()) {
    case '\0':  // before ustar, a trailing slash was all that told a directory
      return name().ends_with('/') ? TarType::Directory : TarType::Regular;
    case 'S': return TarType::Regular;
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6': return static_cast<TarType>(type());
    default: refuse("unsupported type " + quoted(std::string(1, type())));
  }
}

// From SCHILY.xattr alone; readers that also take libarchive's and Red Hat's keys are few.
std::map<std::string, std::string> TarHeader::xattrs() const {
  static constexpr std::string_view kKey = "SCHILY.xattr.";
  std::map<std::string, std::string> xattrs;
  for (const auto& [key, value] : records_) {
    if (!key.starts_with(kKey)) continue;
    if (key.size() == kKey.size()) refuse("an extended attribute has no name");
    xattrs.emplace(key.substr(kKey.size()), value);
  }
  return xattrs;
}

void TarHeader::set_device(TarEntry& entry) const {
  if (entry.type != TarType::CharDevice && entry.type != TarType::BlockDevice) return;
  if (!gnu_ && !ustar_) return;  // older tars have no device numbers
  const int64_t major = number(block_, kDevMajor), minor = number(block_, kDevMinor);
  if (major < 0 || major > UINT32_MAX || minor < 0 || minor > UINT32_MAX)
    refuse_number(kDevMajor.what);
  entry.dev_major = static_cast<uint32_t>(major);
  entry.dev_minor = static_cast<uint32_t>(minor);
}

bool TarHeader::is_sparse() const {
  return type() == 'S' || std::ranges::any_of(records_, [](const auto& r) {
           return r.first.starts_with("GNU.sparse.");
         });
}

bool TarHeader::claims_data() const { return natural(kSize) > 0; }

// What is left for data: PAX 1.0 keeps a sparse file's map in front of it, GNU outside of it.
uint64_t TarHeader::data_size() const {
  const uint64_t size = natural(kSize), map = type() == 'S' ? 0 : map_.size();
  if (map > size) refuse("its sparse map is longer than its data");
  return size - map;
}

void TarHeader::check_sparse(TarType entry_type) const {
  // libarchive looks for a sparse map in every GNU header, other readers only in those of type
  // 'S'.
  const bool has_map = gnu_ && (block_[kGnuSparseOffset] != 0 || block_[kGnuRealSizeOffset] != 0);
  if (has_map != (type() == 'S')) refuse_sparse();
  if (!is_sparse()) {
    if (records_.contains("SUN.holesdata") || records_.contains("SCHILY.realsize")) refuse_sparse();
    return;
  }
  if (entry_type != TarType::Regular) refuse("it is sparse but no regular file");
  // libarchive takes PAX maps for this type only if an earlier member was a regular file by type.
  if (type() == '\0') refuse_sparse();
  return type() == 'S' ? check_gnu_map() : check_pax_sparse_version();
}

// After an unknown version, libarchive would take the next member for sparse.
void TarHeader::check_pax_sparse_version() const {
  const bool versioned =
      records_.contains("GNU.sparse.major") || records_.contains("GNU.sparse.minor");
  const std::string *major = record("GNU.sparse.major"), *minor = record("GNU.sparse.minor");
  const bool known = major != nullptr && *major == "1" && minor != nullptr && *minor == "0";
  const bool unversioned =
      record("GNU.sparse.map") != nullptr || record("GNU.sparse.offset") != nullptr;
  if (versioned ? !known : !unversioned) refuse_sparse();
}

// Pairs of numbers up to one that is not set: four in the block, 21 in each that follows.
void TarHeader::check_gnu_map() const {
  constexpr TarField kRealSize{kGnuRealSizeOffset, 12, "size"};
  const auto check_pairs = [](std::string_view block, size_t offset, size_t count) {
    for (; count-- > 0 && block[offset] != 0; offset += 24) {
      number(block, {offset, 12, "sparse map"});
      number(block, {offset + 12, 12, "sparse map"});
    }
  };
  number(block_, kRealSize);
  check_pairs(block_, kGnuSparseOffset, 4);
  for (size_t at = 0; at < map_.size(); at += kTarBlock)
    check_pairs(map_.substr(at, kTarBlock), 0, 21);
}

void check_tar_end(std::string_view blocks) {
  while (blocks.size() > kTarBlock && blocks[kTypeOffset] == 'g') {
    const auto size_field = static_cast<uint64_t>(std::max<int64_t>(number(blocks, kSize), 0));
    const std::string_view body = blocks.substr(kTarBlock, size_field);
    parse_records(body);
    blocks.remove_prefix(std::min(blocks.size(), kTarBlock + padded(body.size())));
  }
  blocks = blocks.substr(0, 2 * kTarBlock);
  if (!is_zero(blocks)) refuse("data behind a single zero block");
  if (blocks.size() % kTarBlock != 0) refuse("the stream ends within a block");
}

}  // namespace overlayd
