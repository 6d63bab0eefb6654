// SPDX-License-Identifier: Apache-2.0
//
// How the work is divided: libarchive finds the members, numbers, names and sparse maps, skips and
// reads. Headers (below) judges the header blocks that libarchive took for a member, and refuses
// what libarchive reads otherwise than the engines do (Go's archive/tar), or reads generously: a
// layer that two readers see differently is one that deceives somebody. What the two are known to
// disagree on is said where it is handled.
#include "core/tar_reader.h"

#include <algorithm>
#include <charconv>
#include <deque>
#include <exception>
#include <map>
#include <string_view>
#include <utility>

#include <archive.h>
#include <archive_entry.h>

#include "core/error.h"

namespace overlayd {
namespace {

constexpr size_t kBlock = 512;
// Large enough that copies at the seams between pieces do not count, small enough to stay in cache.
constexpr size_t kPieceSize = 256 * 1024;
// Readers stack a call per extension header; honest writers use one or two.
constexpr ptrdiff_t kMaxGlobalHeaders = 8;

[[noreturn]] void refuse(const std::string& why) {
  throw Error(ErrorKind::BadArchive, why);
}

[[noreturn]] void refuse_length() {
  refuse("its headers are longer than " + std::to_string(kMaxTarHeader) + " bytes");
}

bool has_nul(std::string_view text) {
  return text.find('\0') != text.npos;
}

bool is_zero(std::string_view bytes) {
  return bytes.find_first_not_of('\0') == bytes.npos;
}

size_t padded(size_t size) {
  return (size + kBlock - 1) / kBlock * kBlock;
}

// ---------------------------------------------------------------------------------------------------
// Fields of a header block

struct Field {
  size_t offset;
  size_t size;
  const char* what;
};
constexpr Field kName{0, 100, "name"};
constexpr Field kMode{100, 8, "mode"};
constexpr Field kUid{108, 8, "uid"};
constexpr Field kGid{116, 8, "gid"};
constexpr Field kSize{124, 12, "size"};
constexpr Field kMtime{136, 12, "modification time"};
constexpr Field kLinkName{157, 100, "link name"};
constexpr Field kDevMajor{329, 8, "device number"};
constexpr Field kDevMinor{337, 8, "device number"};
constexpr Field kGnuAtime{345, 12, "access time"};
constexpr Field kGnuCtime{357, 12, "change time"};
constexpr Field kPrefix{345, 155, "prefix"};
constexpr Field kStarPrefix{345, 131, "prefix"};
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
int64_t number(std::string_view block, const Field& field) {
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

using Records = std::map<std::string, std::string, std::less<>>;

std::optional<int64_t> decimal(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// libarchive drops malformed records, and all behind them, with no more than a warning.
Records parse_records(std::string_view body) {
  Records records;
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
// The header blocks of one member

class Headers {
 public:
  /// `raw` is what libarchive took for the member: extension headers, the member's own block, and a
  /// sparse map if there is one.
  explicit Headers(std::string_view raw) {
    std::string seen;
    for (block_ = take_block(raw); is_extension(type()); block_ = take_block(raw))
      read_extension(raw, seen);
    map_ = raw;
  }

  /// Of the member, unchecked.
  std::string name() const {
    for (const char* key : {"GNU.sparse.name", "path"}) {
      if (const std::string* value = record(key)) return *value;
    }
    const std::string name = text(kName);
    const bool star = ustar_ && block_.substr(kStarTrailerOffset) == kStarTrailer;
    const std::string prefix = ustar_ ? text(star ? kStarPrefix : kPrefix) : "";
    return prefix.empty() ? name : prefix + "/" + name;
  }

  /// The member; of a sparse file, `size` is that of its data. Throws for what no member may be.
  TarEntry entry() const {
    TarEntry entry{.name = name(), .type = tar_type()};
    check_name(entry.name, "name");
    if (entry.type == TarType::Regular && entry.name.ends_with('/'))
      refuse("a regular file's name ends in '/'");  // a directory to some readers
    entry.mode = static_cast<uint32_t>(number(block_, kMode)) & 07777;
    entry.uid = natural(kUid);
    entry.gid = natural(kGid);
    const std::string* time = record("mtime");
    entry.mtime = {number(block_, kMtime), 0};
    if (time != nullptr) entry.mtime = parse_time(*time);
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

  bool is_sparse() const {
    return type() == 'S' || std::ranges::any_of(records_, [](const auto& r) {
             return r.first.starts_with("GNU.sparse.");
           });
  }

  /// Whether a reader may find data that the member, by its type, does not have.
  bool claims_data() const { return natural(kSize) > 0; }

 private:
  char type() const { return block_[kTypeOffset]; }

  static bool is_extension(char type) {
    return std::string_view("gxLK").find(type) != std::string_view::npos;
  }

  // The next header block, its numbers good.
  std::string_view take_block(std::string_view& raw) {
    if (raw.size() < kBlock) refuse("its headers are incomplete");
    const std::string_view block = raw.substr(0, kBlock);
    raw.remove_prefix(kBlock);
    gnu_ = block.substr(kMagicOffset, kGnuMagic.size()) == kGnuMagic;
    ustar_ = block.substr(kMagicOffset, kUstarMagic.size()) == kUstarMagic;
    for (const Field& field : {kMode, kUid, kGid, kSize, kMtime}) number(block, field);
    for (const Field& field : {kDevMajor, kDevMinor}) {
      if (gnu_ || ustar_) number(block, field);
    }
    // Early Go wrote a ustar prefix into GNU headers where these are.
    for (const Field& field : {kGnuAtime, kGnuCtime}) {
      if (gnu_ && block[field.offset] != 0) number(block, field);
    }
    return block;
  }

  // Which of several headers of a kind wins, and whether PAX or GNU wins, differs between readers.
  static void check_order(char type, std::string& seen) {
    const bool first = seen.find_first_not_of('g') == seen.npos;
    const bool fits = first || (type != 'g' && type != 'x' && seen.find(type) == seen.npos &&
                                seen.find('x') == seen.npos);
    seen += type;
    if (!fits || std::ranges::count(seen, 'g') > kMaxGlobalHeaders)
      refuse("it has contradicting extension headers");
  }

  void read_extension(std::string_view& raw, std::string& seen) {
    check_order(type(), seen);
    const uint64_t size = natural(kSize);
    if (size > raw.size()) refuse("an extension header is truncated");
    const std::string_view body = raw.substr(0, size);
    raw.remove_prefix(std::min(padded(size), raw.size()));
    const Records records = type() == 'x' || type() == 'g' ? parse_records(body) : Records();
    if (type() == 'x') records_ = records;
    if (type() == 'L') records_["path"] = gnu_name(body);
    if (type() == 'K') records_["linkpath"] = gnu_name(body);
  }

  static std::string gnu_name(std::string_view body) {
    const std::string_view text = body.substr(0, body.find('\0'));
    if (!is_zero(body.substr(text.size()))) refuse("a name has a NUL byte in it");
    return std::string(text);
  }

  std::string text(const Field& field) const {
    const std::string_view bytes = block_.substr(field.offset, field.size);
    return std::string(bytes.substr(0, bytes.find('\0')));
  }

  // A number that cannot be negative, from its PAX record or the block.
  uint64_t natural(const Field& field) const {
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

  /// The record's value; nullptr for none and for an empty one, which stands for "as in the block".
  const std::string* record(std::string_view key) const {
    const auto found = records_.find(key);
    return found == records_.end() || found->second.empty() ? nullptr : &found->second;
  }

  TarType tar_type() const {
    switch (type()) {
      case '\0':  // before ustar, a trailing slash was all that told a directory
        return name().ends_with('/') ? TarType::Directory : TarType::Regular;
      case 'S':
        return TarType::Regular;
      case '0':
      case '1':
      case '2':
      case '3':
      case '4':
      case '5':
      case '6':
        return static_cast<TarType>(type());
      default:
        refuse("unsupported type " + quoted(std::string(1, type())));
    }
  }

  static void check_name(const std::string& name, const std::string& what) {
    if (name.empty()) refuse("its " + what + " is empty");
    if (has_nul(name)) refuse("its " + what + " has a NUL byte in it");
    if (name.size() > kMaxTarName)
      refuse("its " + what + " is longer than " + std::to_string(kMaxTarName) + " bytes");
  }

  // From SCHILY.xattr alone; readers that also take libarchive's and Red Hat's keys are few.
  std::map<std::string, std::string> xattrs() const {
    static constexpr std::string_view kKey = "SCHILY.xattr.";
    std::map<std::string, std::string> xattrs;
    for (const auto& [key, value] : records_) {
      if (!key.starts_with(kKey)) continue;
      if (key.size() == kKey.size()) refuse("an extended attribute has no name");
      xattrs.emplace(key.substr(kKey.size()), value);
    }
    return xattrs;
  }

  void set_device(TarEntry& entry) const {
    if (entry.type != TarType::CharDevice && entry.type != TarType::BlockDevice) return;
    if (!gnu_ && !ustar_) return;  // older tars have no device numbers
    const int64_t major = number(block_, kDevMajor), minor = number(block_, kDevMinor);
    if (major < 0 || major > UINT32_MAX || minor < 0 || minor > UINT32_MAX)
      refuse_number(kDevMajor.what);
    entry.dev_major = static_cast<uint32_t>(major);
    entry.dev_minor = static_cast<uint32_t>(minor);
  }

  // What is left for data: PAX 1.0 keeps a sparse file's map in front of it, GNU outside of it.
  uint64_t data_size() const {
    const uint64_t size = natural(kSize), map = type() == 'S' ? 0 : map_.size();
    if (map > size) refuse("its sparse map is longer than its data");
    return size - map;
  }

  void check_sparse(TarType entry_type) const {
    // libarchive looks for a sparse map in every GNU header, other readers only in those of type
    // 'S'.
    const bool has_map = gnu_ && (block_[kGnuSparseOffset] != 0 || block_[kGnuRealSizeOffset] != 0);
    if (has_map != (type() == 'S')) refuse_sparse();
    if (!is_sparse()) {
      if (records_.contains("SUN.holesdata") || records_.contains("SCHILY.realsize"))
        refuse_sparse();
      return;
    }
    if (entry_type != TarType::Regular) refuse("it is sparse but no regular file");
    if (type() == 'S') return check_gnu_map();
    // After an unknown version, libarchive would take the next member for sparse.
    const bool versioned =
        records_.contains("GNU.sparse.major") || records_.contains("GNU.sparse.minor");
    const std::string *major = record("GNU.sparse.major"), *minor = record("GNU.sparse.minor");
    const bool known = major != nullptr && *major == "1" && minor != nullptr && *minor == "0";
    const bool unversioned =
        record("GNU.sparse.map") != nullptr || record("GNU.sparse.offset") != nullptr;
    if (versioned ? !known : !unversioned) refuse_sparse();
  }

  // Pairs of numbers up to one that is not set: four in the block, 21 in each that follows.
  void check_gnu_map() const {
    constexpr Field kRealSize{kGnuRealSizeOffset, 12, "size"};
    const auto check_pairs = [](std::string_view block, size_t offset, size_t count) {
      for (; count-- > 0 && block[offset] != 0; offset += 24) {
        number(block, {offset, 12, "sparse map"});
        number(block, {offset + 12, 12, "sparse map"});
      }
    };
    number(block_, kRealSize);
    check_pairs(block_, kGnuSparseOffset, 4);
    for (size_t at = 0; at < map_.size(); at += kBlock) check_pairs(map_.substr(at, kBlock), 0, 21);
  }

  [[noreturn]] static void refuse_sparse() { refuse("its kind of sparse file is unsupported"); }

  std::string_view block_;  // the last one looked at, in the end the member's own
  bool gnu_ = false;
  bool ustar_ = false;
  std::string_view map_;  // blocks behind it that are a sparse map
  Records records_;
};

std::string text_or_empty(const char* text) {
  return text == nullptr ? std::string() : text;
}

// ---------------------------------------------------------------------------------------------------
// What a compressed stream starts with. Engines decompress layers before they send them.

struct Compression {
  std::string_view magic;
  const char* name;
};
constexpr Compression kCompressions[] = {
    {std::string_view("\x1f\x8b\x08", 3), "gzip"},
    {"BZh", "bzip2"},
    {std::string_view("\xfd"
                      "7zXZ\0",
                      6),
     "xz"},
    {"\x28\xb5\x2f\xfd", "zstd"},
};

void refuse_compressed(std::string_view start) {
  for (const Compression& compression : kCompressions) {
    if (start.starts_with(compression.magic)) {
      refuse(std::string("the stream is ") + compression.name +
             "-compressed; engines send plain tar to a graph driver");
    }
  }
}

struct ArchiveDeleter {
  void operator()(archive* handle) const { archive_read_free(handle); }
};
struct EntryDeleter {
  void operator()(archive_entry* entry) const { archive_entry_free(entry); }
};

}  // namespace

// ---------------------------------------------------------------------------------------------------

struct TarReader::Impl {
  explicit Impl(ByteSource& byte_source) : source(byte_source) {}

  std::optional<TarEntry> next();
  std::optional<Data> read_data();
  void drain_source();

  // Whatever leaves the reader by exception leaves it unusable; every later call says the same.
  template <typename Work>
  auto guarded(Work work) {
    if (failure) std::rethrow_exception(failure);
    try {
      return work();
    } catch (...) {
      failure = std::current_exception();
      throw;
    }
  }

  std::string raw;            // header blocks of the current member
  uint64_t header_begin = 0;  // stream offset of the current or coming member's headers
  std::exception_ptr failure;

 private:
  // A stretch of the stream as it was handed to libarchive.
  struct Piece {
    uint64_t offset = 0;
    size_t size = 0;
    std::unique_ptr<std::byte[]> bytes;
    uint64_t end() const { return offset + size; }
  };

  void open();
  static la_ssize_t feed_callback(archive*, void* self, const void** buffer) noexcept;
  size_t feed(const void** buffer);
  void read_piece();
  void drop_pieces();
  std::string bytes_between(uint64_t from, uint64_t to) const;
  uint64_t read_end() const { return pieces.empty() ? cursor : pieces.back().end(); }
  uint64_t position() const {
    return base + static_cast<uint64_t>(archive_filter_bytes(handle.get(), 0));
  }

  void rethrow_from_source();
  [[noreturn]] void refuse_as_libarchive_says(int result);
  std::string where() const;
  void skip_data();
  bool read_header();
  void check_end() const;
  TarEntry make_entry();
  void begin_data(bool sparse, uint64_t stored);
  void reopen_behind_headers();

  ByteSource& source;
  std::unique_ptr<archive, ArchiveDeleter> handle;
  std::unique_ptr<archive_entry, EntryDeleter> entry{archive_entry_new()};
  uint64_t base = 0;    // stream offset at which `handle` began
  uint64_t cursor = 0;  // stream offset of the next byte for libarchive
  std::deque<Piece> pieces;
  std::unique_ptr<std::byte[]> spare;
  uint64_t keep_from = 0;  // pieces before this offset can go
  bool in_headers = false;
  bool source_ended = false;
  bool ended = false;
  bool has_data = false;   // `handle` is inside a member
  std::string name;        // of the current member, for messages
  uint64_t size = 0;       // of the current member's file
  uint64_t data_end = 0;   // in the file, of the runs so far
  uint64_t data_left = 0;  // in the tar
};

void TarReader::Impl::open() {
  handle.reset(archive_read_new());
  if (!handle || !entry) throw std::bad_alloc();
  archive* a = handle.get();
  archive_read_support_filter_none(a);
  // The empty format is what makes a stream of no bytes an empty archive.
  if (archive_read_support_format_tar(a) != ARCHIVE_OK ||
      archive_read_support_format_empty(a) != ARCHIVE_OK ||
      // "._name" files are files; a second archive behind the end marker is padding.
      archive_read_set_options(a, "tar:!mac-ext,tar:!read_concatenated_archives") != ARCHIVE_OK)
    throw Error(ErrorKind::Internal,
                "set up libarchive: " + text_or_empty(archive_error_string(a)));
  if (const int result = archive_read_open(a, this, nullptr, feed_callback, nullptr);
      result != ARCHIVE_OK) {
    refuse_as_libarchive_says(result);
  }
}

la_ssize_t TarReader::Impl::feed_callback(archive*, void* self, const void** buffer) noexcept {
  auto* impl = static_cast<Impl*>(self);
  try {
    return static_cast<la_ssize_t>(impl->feed(buffer));
  } catch (...) {
    impl->failure = std::current_exception();  // no exception through C
    return ARCHIVE_FATAL;
  }
}

size_t TarReader::Impl::feed(const void** buffer) {
  if (cursor == read_end()) {
    drop_pieces();
    if (in_headers && cursor > header_begin + kMaxTarHeader) with_context(where(), refuse_length);
    read_piece();
    if (cursor == read_end()) return 0;
  }
  const auto piece = std::ranges::find_if(pieces, [&](const Piece& p) { return cursor < p.end(); });
  const size_t skipped = cursor - piece->offset;
  *buffer = piece->bytes.get() + skipped;
  cursor = piece->end();
  return piece->size - skipped;
}

void TarReader::Impl::read_piece() {
  if (source_ended) return;
  Piece piece{cursor, 0, std::move(spare)};
  if (!piece.bytes) piece.bytes.reset(new std::byte[kPieceSize]);
  while (piece.size < kPieceSize && !source_ended) {
    const size_t count = source.read({piece.bytes.get() + piece.size, kPieceSize - piece.size});
    piece.size += count;
    source_ended = count == 0;
  }
  if (piece.size > 0) pieces.push_back(std::move(piece));
}

void TarReader::Impl::drop_pieces() {
  while (!pieces.empty() && pieces.front().end() <= keep_from) {
    spare = std::move(pieces.front().bytes);
    pieces.pop_front();
  }
}

std::string TarReader::Impl::bytes_between(uint64_t from, uint64_t to) const {
  std::string out;
  for (const Piece& piece : pieces) {
    const uint64_t begin = std::max(from, piece.offset);
    const uint64_t end = std::min(to, piece.end());
    if (begin >= end) continue;
    const std::byte* first = piece.bytes.get() + (begin - piece.offset);
    out.append(reinterpret_cast<const char*>(first), end - begin);
  }
  return out;
}

void TarReader::Impl::rethrow_from_source() {
  if (failure) std::rethrow_exception(failure);
}

std::string TarReader::Impl::where() const {
  const std::string offset = "at offset " + std::to_string(header_begin);
  return name.empty() ? "tar stream " + offset : "tar member " + quoted(name) + " " + offset;
}

void TarReader::Impl::refuse_as_libarchive_says(int result) {
  rethrow_from_source();
  if (result == ARCHIVE_RETRY)
    throw Error(ErrorKind::BadArchive, where() + ": bad header checksum");
  std::string why = text_or_empty(archive_error_string(handle.get()));
  if (why.empty()) why = "truncated headers";  // the one case that it does not name
  if (why == "Unrecognized archive format") why = "no tar header here";
  why[0] = static_cast<char>(why[0] >= 'A' && why[0] <= 'Z' ? why[0] + ('a' - 'A') : why[0]);
  throw Error(ErrorKind::BadArchive, where() + ": " + why);
}

std::optional<TarEntry> TarReader::Impl::next() {
  if (ended) return std::nullopt;
  if (!handle) {
    read_piece();
    with_context(where(), [&] { refuse_compressed(bytes_between(0, kBlock)); });
    open();
  }
  skip_data();
  if (!read_header()) {
    with_context(where(), [&] { check_end(); });
    ended = true;
    return std::nullopt;
  }
  raw = bytes_between(header_begin, position());
  try {
    return make_entry();
  } catch (const Error& error) {  // not with_context: only now may the name be known
    throw Error(error.kind(), where() + ": " + error.what());
  }
}

void TarReader::Impl::skip_data() {
  if (!std::exchange(has_data, false)) return;
  if (const int result = archive_read_data_skip(handle.get()); result != ARCHIVE_OK)
    refuse_as_libarchive_says(result);
}

bool TarReader::Impl::read_header() {
  name.clear();
  header_begin = keep_from = position();
  in_headers = true;
  const int result = archive_read_next_header2(handle.get(), entry.get());
  in_headers = false;
  rethrow_from_source();
  if (result == ARCHIVE_EOF) return false;
  // Warnings are about bytes that the C locale has no letters for, about ACLs, and about records
  // that Headers refuses with a better reason.
  if (result != ARCHIVE_OK && result != ARCHIVE_WARN) refuse_as_libarchive_says(result);
  return true;
}

// libarchive ends at one zero block whatever follows. Go wants a second one, or the end of the
// stream.
void TarReader::Impl::check_end() const {
  std::string rest = bytes_between(header_begin, header_begin + kMaxTarHeader);
  std::string_view blocks = rest;
  while (blocks.size() > kBlock && blocks[kTypeOffset] == 'g') {  // global headers with no member
    const auto size_field = static_cast<uint64_t>(std::max<int64_t>(number(blocks, kSize), 0));
    const std::string_view body = blocks.substr(kBlock, size_field);
    parse_records(body);
    blocks.remove_prefix(std::min(blocks.size(), kBlock + padded(body.size())));
  }
  blocks = blocks.substr(0, 2 * kBlock);
  if (!is_zero(blocks)) refuse("data behind a single zero block");
  if (blocks.size() % kBlock != 0) refuse("the stream ends within a block");
}

TarEntry TarReader::Impl::make_entry() {
  if (raw.size() > kMaxTarHeader) refuse_length();
  const Headers headers(raw);
  name = headers.name();
  TarEntry out = headers.entry();
  if (out.type == TarType::Regular) {
    begin_data(headers.is_sparse(), out.size);
    out.size = size;
  } else if (headers.claims_data()) {
    reopen_behind_headers();
  }
  return out;
}

// Decides between the size of the data that the headers state and what libarchive made of them.
void TarReader::Impl::begin_data(bool sparse, uint64_t stored) {
  if (archive_entry_size(entry.get()) < 0) refuse("its size is negative");
  size = static_cast<uint64_t>(archive_entry_size(entry.get()));
  data_end = 0;
  data_left = stored;
  has_data = true;
  keep_from = UINT64_MAX;  // the headers are in `raw`
  if (!sparse) {
    if (size != data_left) refuse("its headers disagree about its size");
    return;
  }
  // libarchive leaves entries out of its list that overlap or reach past the end. A single run from
  // end to end is no list at all: reset() frees it, and next() would read what it freed.
  uint64_t mapped = 0;
  if (archive_entry_sparse_reset(entry.get()) == 0) {
    mapped = data_left == size ? size : 0;
  } else {
    la_int64_t offset = 0, length = 0;
    while (archive_entry_sparse_next(entry.get(), &offset, &length) == ARCHIVE_OK)
      mapped += static_cast<uint64_t>(length);
  }
  if (mapped != data_left) refuse("its sparse map does not fit its data");
}

// Only regular files have data, whatever the size field says; libarchive may mean to skip some. A
// fresh handle goes on right behind the headers.
void TarReader::Impl::reopen_behind_headers() {
  base = cursor = keep_from = position();
  open();
}

std::optional<TarReader::Data> TarReader::Impl::read_data() {
  if (!has_data) return std::nullopt;
  const void* bytes = nullptr;
  size_t count = 0;
  la_int64_t offset = 0;
  const int result = archive_read_data_block(handle.get(), &bytes, &count, &offset);
  rethrow_from_source();
  if (result == ARCHIVE_EOF) {
    if (data_left > 0) refuse(where() + ": its data is shorter than its size");
    return std::nullopt;
  }
  if (result != ARCHIVE_OK) refuse_as_libarchive_says(result);
  const auto begin = static_cast<uint64_t>(offset);
  if (begin < data_end || begin > size || count > size - begin || count > data_left)
    refuse(where() + ": its sparse map is out of order");
  data_end = begin + count;
  data_left -= count;
  return Data{begin, {static_cast<const std::byte*>(bytes), count}};
}

void TarReader::Impl::drain_source() {
  pieces.clear();
  if (!source_ended) overlayd::drain(source);
  source_ended = true;
}

TarReader::TarReader(ByteSource& source) : impl_(std::make_unique<Impl>(source)) {}
TarReader::~TarReader() = default;

std::optional<TarEntry> TarReader::next() {
  return impl_->guarded([&] { return impl_->next(); });
}

std::optional<TarReader::Data> TarReader::read_data() {
  return impl_->guarded([&] { return impl_->read_data(); });
}

std::string TarReader::raw_header() const {
  return impl_->raw;
}
uint64_t TarReader::header_offset() const {
  return impl_->header_begin;
}

void TarReader::drain() {
  impl_->guarded([&] { impl_->drain_source(); });
}

}  // namespace overlayd
