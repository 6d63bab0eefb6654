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
constexpr size_t kMaxGlobalHeaders = 8;
constexpr std::string_view kGnuMagic{"ustar  \0", 8};

[[noreturn]] void refuse(const std::string& why) {
  throw Error(ErrorKind::BadArchive, why);
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
constexpr Field kMode{100, 8, "mode"};
constexpr Field kUid{108, 8, "uid"};
constexpr Field kGid{116, 8, "gid"};
constexpr Field kSize{124, 12, "size"};
constexpr Field kMtime{136, 12, "modification time"};
constexpr Field kDevMajor{329, 8, "device number"};
constexpr Field kDevMinor{337, 8, "device number"};
constexpr size_t kTypeOffset = 156;
constexpr size_t kMagicOffset = 257;
constexpr size_t kGnuSparseOffset = 386;    // the first of four entries
constexpr size_t kGnuRealSizeOffset = 483;  // of a sparse file

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
    records.insert_or_assign(std::string(key), std::string(record.substr(equals + 1)));
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
  // `raw` is what libarchive took for the member: extension headers, the member's own block, and a
  // sparse map if there is one.
  explicit Headers(std::string_view raw) {
    std::string_view block = take_block(raw);
    std::string seen;
    for (; std::string_view("gxLK").find(type_of(block)) != std::string_view::npos;
         block = take_block(raw))
      read_extension(block, raw, seen);
    check_own_block(block);
    check_records();
    trailer_size_ = raw.size();
  }

  char type() const { return type_; }
  int64_t dev_major() const { return dev_major_; }
  int64_t dev_minor() const { return dev_minor_; }
  bool is_sparse() const { return sparse_; }

  /// Bytes that the headers claim to follow them.
  uint64_t stored_size() const {
    if (type_ == 'S' || trailer_size_ == 0) return size_;
    if (trailer_size_ > size_) refuse("its sparse map is longer than its data");
    return size_ - trailer_size_;  // PAX 1.0 keeps the map in front of the data
  }

  /// The record's value, nullptr where there is none or an empty one, which stands for "as in the
  /// block".
  const std::string* record(std::string_view key) const {
    const auto found = records_.find(key);
    return found == records_.end() || found->second.empty() ? nullptr : &found->second;
  }

  // From SCHILY.xattr alone: libarchive's list has its own and Red Hat's keys mixed in.
  std::map<std::string, std::string> xattrs() const {
    static constexpr std::string_view kPrefix = "SCHILY.xattr.";
    std::map<std::string, std::string> xattrs;
    for (const auto& [key, value] : records_) {
      if (key.starts_with(kPrefix)) xattrs.emplace(key.substr(kPrefix.size()), value);
    }
    return xattrs;
  }

 private:
  static char type_of(std::string_view block) { return block[kTypeOffset]; }

  static std::string_view take_block(std::string_view& raw) {
    if (raw.size() < kBlock) refuse("its headers are incomplete");
    const std::string_view block = raw.substr(0, kBlock);
    raw.remove_prefix(kBlock);
    return block;
  }

  // Which of several headers of a kind wins, and whether PAX or GNU wins, differs between readers.
  static void check_order(char type, std::string& seen) {
    const bool fits = type == 'g'   ? seen.find_first_not_of('g') == seen.npos
                      : type == 'x' ? seen.find_first_not_of('g') == seen.npos
                                    : seen.find(type) == seen.npos && seen.find('x') == seen.npos;
    seen += type;
    if (!fits || std::ranges::count(seen, 'g') > static_cast<ptrdiff_t>(kMaxGlobalHeaders))
      refuse("it has contradicting extension headers");
  }

  void read_extension(std::string_view block, std::string_view& raw, std::string& seen) {
    check_order(type_of(block), seen);
    const int64_t size = number(block, kSize);
    if (size < 0 || static_cast<uint64_t>(size) > raw.size())
      refuse("an extension header is truncated");
    const std::string_view body = raw.substr(0, static_cast<size_t>(size));
    raw.remove_prefix(std::min(padded(body.size()), raw.size()));
    if (type_of(block) == 'x') records_ = parse_records(body);
    const bool name = type_of(block) == 'L' || type_of(block) == 'K';
    if (name && !is_zero(body.substr(std::min(body.find('\0'), body.size()))))
      refuse("a name has a NUL byte in it");
  }

  void check_own_block(std::string_view block) {
    type_ = type_of(block);
    for (const Field& field : {kMode, kMtime}) number(block, field);
    if (number(block, kUid) < 0 || number(block, kGid) < 0) refuse("its owner is negative");
    const int64_t size = number(block, kSize);
    if (size < 0) refuse("its size is negative");
    size_ = static_cast<uint64_t>(size);
    if (block.substr(kMagicOffset, 5) == "ustar") {
      dev_major_ = number(block, kDevMajor);
      dev_minor_ = number(block, kDevMinor);
    }
    const bool gnu = block.substr(kMagicOffset, kGnuMagic.size()) == kGnuMagic;
    // libarchive looks for a sparse map in every GNU header, other readers only in those of type
    // 'S'.
    const bool has_map = gnu && (block[kGnuSparseOffset] != 0 || block[kGnuRealSizeOffset] != 0);
    if ((type_ == 'S') != has_map) refuse("it is sparse and not sparse");
    sparse_ = has_map;
  }

  void check_records() {
    for (const char* key : {"path", "linkpath", "GNU.sparse.name"}) {
      if (const std::string* name = record(key); name != nullptr && has_nul(*name))
        refuse("a name has a NUL byte in it");
    }
    for (const char* key : {"uid", "gid", "size"}) {
      const auto found = records_.find(key);
      if (found == records_.end()) continue;
      // libarchive takes an empty record for 0, other readers for "as in the block".
      const auto value = decimal(found->second);
      if (!value || *value < 0) refuse_number(key);
      if (found->first == "size") size_ = static_cast<uint64_t>(*value);
    }
    for (const auto& [key, value] : records_) {
      if (key.starts_with("GNU.sparse.")) sparse_ = true;
      if (key == "SUN.holesdata" || key == "SCHILY.realsize")
        refuse("its kind of sparse file is unsupported");
      if (key == "SCHILY.xattr.") refuse("an extended attribute has no name");
    }
  }

  char type_ = 0;
  uint64_t size_ = 0;
  size_t trailer_size_ = 0;
  int64_t dev_major_ = 0;
  int64_t dev_minor_ = 0;
  bool sparse_ = false;
  Records records_;
};

TarType type_of(const Headers& headers, std::string_view name) {
  switch (headers.type()) {
    case '\0':  // before ustar, a trailing slash was all that told a directory
      return name.ends_with('/') ? TarType::Directory : TarType::Regular;
    case '0':
    case 'S':
      return TarType::Regular;
    case '1':
      return TarType::HardLink;
    case '2':
      return TarType::Symlink;
    case '3':
      return TarType::CharDevice;
    case '4':
      return TarType::BlockDevice;
    case '5':
      return TarType::Directory;
    case '6':
      return TarType::Fifo;
    default:
      refuse("unsupported type " + quoted(std::string(1, headers.type())));
  }
}

uint32_t device_number(int64_t value) {
  if (value < 0 || value > UINT32_MAX) refuse_number("device number");
  return static_cast<uint32_t>(value);
}

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
  void check_size(const Headers& headers);
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
    if (in_headers && cursor > header_begin + kMaxTarHeader) {
      throw Error(ErrorKind::BadArchive, where() + ": its headers are longer than " +
                                             std::to_string(kMaxTarHeader) + " bytes");
    }
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
  } catch (const Error& error) {
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
    const auto body = static_cast<uint64_t>(std::max<int64_t>(number(blocks, kSize), 0));
    blocks.remove_prefix(std::min(blocks.size(), kBlock + padded(body)));
  }
  blocks = blocks.substr(0, 2 * kBlock);
  if (!is_zero(blocks)) refuse("data behind a single zero block");
  if (blocks.size() % kBlock != 0) refuse("the stream ends within a block");
}

TarEntry TarReader::Impl::make_entry() {
  name = text_or_empty(archive_entry_pathname(entry.get()));
  if (raw.size() > kMaxTarHeader)
    refuse("its headers are longer than " + std::to_string(kMaxTarHeader) + " bytes");
  const Headers headers(raw);
  // PAX names are UTF-8 by the standard and raw bytes by practice; libarchive converts, we do not.
  for (const char* key : {"GNU.sparse.name", "path"}) {
    if (const std::string* value = headers.record(key)) {
      name = *value;
      break;
    }
  }
  if (name.empty()) refuse("its name is empty");
  if (name.size() > kMaxTarName)
    refuse("its name is longer than " + std::to_string(kMaxTarName) + " bytes");

  TarEntry out;
  out.name = name;
  out.type = type_of(headers, name);
  if (out.type == TarType::Regular && name.ends_with('/'))
    refuse("a regular file's name ends in '/'");  // a directory to some readers
  out.mode = archive_entry_perm(entry.get());
  if (archive_entry_uid(entry.get()) < 0 || archive_entry_gid(entry.get()) < 0)
    refuse("its owner is negative");
  out.uid = static_cast<uint64_t>(archive_entry_uid(entry.get()));
  out.gid = static_cast<uint64_t>(archive_entry_gid(entry.get()));
  const std::string* mtime = headers.record("mtime");
  out.mtime = mtime != nullptr ? parse_time(*mtime) : TarTime{archive_entry_mtime(entry.get()), 0};
  out.xattrs = headers.xattrs();
  if (out.type == TarType::CharDevice || out.type == TarType::BlockDevice) {
    out.dev_major = device_number(headers.dev_major());
    out.dev_minor = device_number(headers.dev_minor());
  }
  if (out.type == TarType::HardLink || out.type == TarType::Symlink) {
    const std::string* linkpath = headers.record("linkpath");
    out.link_name = linkpath != nullptr ? *linkpath
                    : out.type == TarType::HardLink
                        ? text_or_empty(archive_entry_hardlink(entry.get()))
                        : text_or_empty(archive_entry_symlink(entry.get()));
    if (out.link_name.empty()) refuse("its link has no target");
    if (out.link_name.size() > kMaxTarName) refuse("its link target is too long");
  }
  if (out.type == TarType::Regular) {
    check_size(headers);
    out.size = size;
  } else {
    if (headers.is_sparse()) refuse("it is sparse but no regular file");
    if (headers.stored_size() > 0) reopen_behind_headers();
  }
  return out;
}

// Decides between the size that the headers state and what libarchive made of them.
void TarReader::Impl::check_size(const Headers& headers) {
  if (archive_entry_size(entry.get()) < 0) refuse("its size is negative");
  size = static_cast<uint64_t>(archive_entry_size(entry.get()));
  data_end = 0;
  data_left = headers.stored_size();
  has_data = true;
  keep_from = UINT64_MAX;  // the headers are in `raw`
  if (!headers.is_sparse()) {
    if (size != data_left) refuse("its headers disagree about its size");
    return;
  }
  // libarchive leaves entries out of its list that overlap or reach past the end, and for a file of
  // a single run from end to end it has none.
  uint64_t mapped = 0;
  if (archive_entry_sparse_reset(entry.get()) == 0) mapped = std::min(size, data_left);
  la_int64_t offset = 0, length = 0;
  while (archive_entry_sparse_next(entry.get(), &offset, &length) == ARCHIVE_OK)
    mapped += static_cast<uint64_t>(length);
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
