// SPDX-License-Identifier: Apache-2.0
#include "core/tar_header.h"

#include <algorithm>
#include <utility>

#include "core/error.h"

namespace overlayd {
namespace {

// Readers stack a call per extension header; honest writers use one or two.
constexpr ptrdiff_t kMaxGlobalHeaders = 8;

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
    refuse_tar("it has contradicting extension headers");
}

// To POSIX, what a global header says is true of every member; engines do not listen. An honest one
// has a comment, times and owners at most.
void check_global(const PaxRecords& records) {
  for (const auto& [key, value] : records) {
    if (key == "path" || key == "linkpath" || key == "size" || key.starts_with("GNU.sparse"))
      refuse_tar("a global header is about what only one member can have");
  }
}

std::string gnu_name(std::string_view body) {
  const std::string_view text = body.substr(0, body.find('\0'));
  if (text.empty()) refuse_tar("a long name is empty");
  if (!is_zero(body.substr(text.size()))) refuse_tar("a name has a NUL byte in it");
  return std::string(text);
}

void check_name(const std::string& name, const std::string& what) {
  if (name.empty()) refuse_tar("its " + what + " is empty");
  if (has_nul(name)) refuse_tar("its " + what + " has a NUL byte in it");
  if (name.size() > kMaxTarName)
    refuse_tar("its " + what + " is longer than " + std::to_string(kMaxTarName) + " bytes");
}

/// The runs of data in a sparse file, as they are found. libarchive passes over those that it does
/// not like, and over all without a byte.
class SparseRuns {
 public:
  explicit SparseRuns(int64_t file_size) : file_size_(file_size) {}

  void add(int64_t offset, int64_t length) {
    if (offset < end_ || length < 0 || length > file_size_ || offset > file_size_ - length)
      refuse_tar("its sparse map does not fit its data");
    end_ = offset + length;
  }

 private:
  int64_t file_size_;
  int64_t end_ = 0;
};

[[noreturn]] void refuse_sparse() { refuse_tar("its kind of sparse file is unsupported"); }

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
  if (raw.size() < kTarBlock) refuse_tar("its headers are incomplete");
  const std::string_view block = raw.substr(0, kTarBlock);
  raw.remove_prefix(kTarBlock);
  gnu_ = block.substr(kMagicOffset, kGnuMagic.size()) == kGnuMagic;
  ustar_ = block.substr(kMagicOffset, kUstarMagic.size()) == kUstarMagic;
  // Some readers find a prefix and device numbers there all the same.
  if (!gnu_ && !ustar_ && !is_zero(block.substr(kMagicOffset))) refuse_tar("it has no known magic");
  for (const TarField& field : {kMode, kUid, kGid, kSize, kMtime}) tar_number(block, field);
  for (const TarField& field : {kDevMajor, kDevMinor}) {
    if (gnu_ || ustar_) tar_number(block, field);
  }
  // Early Go wrote a ustar prefix into GNU headers where these are.
  for (const TarField& field : {kGnuAtime, kGnuCtime}) {
    if (gnu_ && block[field.offset] != 0) tar_number(block, field);
  }
  return block;
}

void TarHeader::read_extension(std::string_view& raw, std::string& seen) {
  check_order(type(), seen);
  const uint64_t size = natural(kSize);
  if (size > raw.size()) refuse_tar("an extension header is truncated");
  const std::string_view body = raw.substr(0, size);
  const std::string_view padding = raw.substr(size, padded(size) - size);
  if (!is_zero(padding))
    refuse_tar("an extension header has data behind its end");  // Python reads it
  raw.remove_prefix(body.size() + padding.size());
  if (type() == 'x') records_ = parse_pax_records(body);
  if (type() == 'g') check_global(parse_pax_records(body));
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
  int64_t value = tar_number(block_, field);
  if (const auto found = records_.find(field.what); found != records_.end()) {
    // libarchive takes an empty record for 0, other readers for "as in the block".
    const auto replaced = decimal(found->second);
    if (!replaced) refuse_number(field.what);
    value = *replaced;
  }
  if (value < 0) refuse_tar(std::string("its ") + field.what + " is negative");
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
    refuse_tar("a regular file's name ends in '/'");  // a directory to some readers
  entry.mode = static_cast<uint32_t>(tar_number(block_, kMode)) & 07777;
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
  return time != nullptr ? parse_pax_time(*time) : TarTime{tar_number(block_, kMtime), 0};
}

TarType TarHeader::tar_type() const {
  switch (type()) {
    case '\0':  // before ustar, a trailing slash was all that told a directory
      if (name().ends_with('/') != text(kName).ends_with('/') || name() == "/")
        refuse_tar("its names disagree about whether it is a directory");
      return name().ends_with('/') ? TarType::Directory : TarType::Regular;
    case 'S': return TarType::Regular;
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6': return static_cast<TarType>(type());
    default: refuse_tar("unsupported type " + quoted(std::string(1, type())));
  }
}

// From SCHILY.xattr alone; readers that also take libarchive's and Red Hat's keys are few.
std::map<std::string, std::string> TarHeader::xattrs() const {
  static constexpr std::string_view kKey = "SCHILY.xattr.";
  std::map<std::string, std::string> xattrs;
  for (const auto& [key, value] : records_) {
    if (!key.starts_with(kKey)) continue;
    if (key.size() == kKey.size()) refuse_tar("an extended attribute has no name");
    xattrs.emplace(key.substr(kKey.size()), value);
  }
  return xattrs;
}

void TarHeader::set_device(TarEntry& entry) const {
  if (entry.type != TarType::CharDevice && entry.type != TarType::BlockDevice) return;
  if (!gnu_ && !ustar_) return;  // older tars have no device numbers
  const int64_t major = tar_number(block_, kDevMajor), minor = tar_number(block_, kDevMinor);
  if (major < 0 || major > UINT32_MAX || minor < 0 || minor > UINT32_MAX)
    refuse_number(kDevMajor.what);
  entry.dev_major = static_cast<uint32_t>(major);
  entry.dev_minor = static_cast<uint32_t>(minor);
}

bool TarHeader::is_sparse() const {
  return type() == 'S' || std::ranges::any_of(records_, [](const auto& r) {
           return r.first.starts_with("GNU.sparse");
         });
}

bool TarHeader::claims_data() const { return natural(kSize) > 0; }

// What is left for data: PAX 1.0 keeps a sparse file's map in front of it, GNU outside of it.
uint64_t TarHeader::data_size() const {
  const uint64_t size = natural(kSize), map = type() == 'S' ? 0 : map_.size();
  if (map > size) refuse_tar("its sparse map is longer than its data");
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
  if (entry_type != TarType::Regular) refuse_tar("it is sparse but no regular file");
  // libarchive takes PAX maps for this type only if an earlier member was a regular file by type.
  if (type() == '\0') refuse_sparse();
  if (type() == 'S') return check_gnu_sparse();
  if (!ustar_) refuse_sparse();  // GNU tar then looks for a GNU map
  check_pax_sparse();
}

// After an unknown version, libarchive would take the next member for sparse.
void TarHeader::check_pax_sparse() const {
  const bool versioned =
      records_.contains("GNU.sparse.major") || records_.contains("GNU.sparse.minor");
  const std::string *major = record("GNU.sparse.major"), *minor = record("GNU.sparse.minor");
  const bool known = major != nullptr && *major == "1" && minor != nullptr && *minor == "0";
  const bool has_map = record("GNU.sparse.map") != nullptr;
  const bool has_runs = record("GNU.sparse.offset") != nullptr;
  if (versioned ? !known || has_map || has_runs : has_map == has_runs) refuse_sparse();
  const std::string* size = record(versioned ? "GNU.sparse.realsize" : "GNU.sparse.size");
  if (size == nullptr || !decimal(*size)) refuse_number("size");
  SparseRuns runs(*decimal(*size));
  const std::vector<int64_t> numbers = pax_sparse_map();
  if (numbers.size() % 2 != 0) refuse_number("sparse map");
  const std::string* count = record("GNU.sparse.numblocks");
  const auto pairs = static_cast<int64_t>(numbers.size() / 2);
  if (!versioned && (count == nullptr || decimal(*count) != pairs))
    refuse_tar("its sparse map has another length than it says");
  for (size_t i = 0; i < numbers.size(); i += 2) runs.add(numbers[i], numbers[i + 1]);
}

// Offsets and lengths by turns.
std::vector<int64_t> TarHeader::pax_sparse_map() const {
  if (const std::string* map = record("GNU.sparse.map")) return decimals(*map, ',');
  if (const std::string* offsets = record("GNU.sparse.offset")) {
    const std::string* lengths = record("GNU.sparse.numbytes");
    const auto first = decimals(*offsets, ',');
    const auto second = lengths != nullptr ? decimals(*lengths, ',') : std::vector<int64_t>();
    if (first.size() != second.size()) refuse_number("sparse map");
    std::vector<int64_t> numbers;
    for (size_t i = 0; i < first.size(); ++i) numbers.insert(numbers.end(), {first[i], second[i]});
    return numbers;
  }
  const size_t last = map_.find_last_of('\n');  // NULs behind it
  std::vector<int64_t> numbers = decimals(map_.substr(0, std::min(last, map_.size())), '\n');
  const bool complete = !numbers.empty() && numbers[0] >= 0 &&
                        static_cast<size_t>(numbers[0]) == (numbers.size() - 1) / 2;
  if (!complete) refuse_number("sparse map");
  numbers.erase(numbers.begin());
  return numbers;
}

// Pairs of numbers up to one that is not set: four in the block, 21 in each that follows.
void TarHeader::check_gnu_sparse() const {
  SparseRuns runs(tar_number(block_, {kGnuRealSizeOffset, 12, "size"}));
  const auto add_pairs = [&](std::string_view block, size_t offset, size_t count) {
    for (; count-- > 0 && block[offset] != 0; offset += 24) {
      runs.add(tar_number(block, {offset, 12, "sparse map"}),
               tar_number(block, {offset + 12, 12, "sparse map"}));
    }
  };
  add_pairs(block_, kGnuSparseOffset, 4);
  for (size_t at = 0; at < map_.size(); at += kTarBlock)
    add_pairs(map_.substr(at, kTarBlock), 0, 21);
}

void check_tar_end(std::string_view blocks) {
  while (blocks.size() > kTarBlock && blocks[kTypeOffset] == 'g') {
    const auto size_field = static_cast<uint64_t>(std::max<int64_t>(tar_number(blocks, kSize), 0));
    const std::string_view body = blocks.substr(kTarBlock, size_field);
    check_global(parse_pax_records(body));
    blocks.remove_prefix(std::min(blocks.size(), kTarBlock + padded(body.size())));
  }
  blocks = blocks.substr(0, 2 * kTarBlock);
  if (!is_zero(blocks)) refuse_tar("data behind a single zero block");
  if (blocks.size() % kTarBlock != 0) refuse_tar("the stream ends within a block");
}

}  // namespace overlayd
