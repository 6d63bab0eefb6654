// SPDX-License-Identifier: Apache-2.0
//
// How the work is divided: libarchive finds the members, numbers, names and sparse maps, skips and
// reads. core/tar_header.h judges the header blocks that libarchive took for a member. What the two
// are known to disagree on is said where it is handled.
#include "core/tar_reader.h"

#include <algorithm>
#include <deque>
#include <exception>
#include <functional>
#include <string_view>
#include <utility>
#include <vector>

#include <archive.h>
#include <archive_entry.h>

#include "core/error.h"
#include "core/tar_header.h"

namespace overlayd {
namespace {

// Large enough that copies at the seams between pieces do not count, small enough to stay in cache.
constexpr size_t kPieceSize = 128 * 1024;

[[noreturn]] void refuse_length() {
  refuse_tar("its headers are longer than " + std::to_string(kMaxTarHeader) + " bytes");
}

std::string text_or_empty(const char* text) { return text == nullptr ? std::string() : text; }

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

// A tar begins with a name, which may look like anything, but then the block has its checksum.
void refuse_compressed(std::string_view start) {
  if (has_tar_checksum(start)) return;
  for (const Compression& compression : kCompressions) {
    if (start.starts_with(compression.magic)) {
      refuse_tar(std::string("the stream is ") + compression.name +
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
    std::shared_ptr<std::byte[]> bytes;
    uint64_t end() const { return offset + size; }
    bool has(const void* place) const {
      const auto* const byte = static_cast<const std::byte*>(place);
      return std::less_equal<>{}(bytes.get(), byte) && std::less<>{}(byte, bytes.get() + size);
    }
  };

  void open();
  static la_ssize_t feed_callback(archive*, void* self, const void** buffer) noexcept;
  size_t feed(const void** buffer);
  std::shared_ptr<std::byte[]> free_buffer();
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
  std::vector<std::shared_ptr<std::byte[]>> buffers;  // of all pieces, and of those that are gone
  uint64_t keep_from = 0;                             // pieces before this offset can go
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

// One that neither a piece nor a user of its data has.
std::shared_ptr<std::byte[]> TarReader::Impl::free_buffer() {
  for (const auto& buffer : buffers) {
    if (buffer.use_count() == 1) return buffer;
  }
  return buffers.emplace_back(new std::byte[kPieceSize]);
}

void TarReader::Impl::read_piece() {
  if (source_ended) return;
  Piece piece{cursor, 0, free_buffer()};
  while (piece.size < kPieceSize && !source_ended) {
    const size_t count = source.read({piece.bytes.get() + piece.size, kPieceSize - piece.size});
    piece.size += count;
    source_ended = count == 0;
  }
  if (piece.size > 0) pieces.push_back(std::move(piece));
}

void TarReader::Impl::drop_pieces() {
  while (!pieces.empty() && pieces.front().end() <= keep_from) pieces.pop_front();
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
    with_context(where(), [&] { refuse_compressed(bytes_between(0, kTarBlock)); });
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
  // that TarHeader refuses with a better reason.
  if (result != ARCHIVE_OK && result != ARCHIVE_WARN) refuse_as_libarchive_says(result);
  return true;
}

// libarchive ends at one zero block whatever follows. Go wants a second one, or the end of the
// stream.
void TarReader::Impl::check_end() const {
  check_tar_end(bytes_between(header_begin, header_begin + kMaxTarHeader));
}

TarEntry TarReader::Impl::make_entry() {
  if (raw.size() > kMaxTarHeader) refuse_length();
  const TarHeader headers(raw);
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
  if (archive_entry_size(entry.get()) < 0) refuse_tar("its size is negative");
  size = static_cast<uint64_t>(archive_entry_size(entry.get()));
  if (size > kMaxTarFile) refuse_tar("it is larger than 16 TiB");
  data_end = 0;
  data_left = stored;
  has_data = true;
  keep_from = UINT64_MAX;  // the headers are in `raw`
  if (!sparse) {
    if (size != data_left) refuse_tar("its headers disagree about its size");
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
  if (mapped != data_left) refuse_tar("its sparse map does not fit its data");
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
    if (data_left > 0) refuse_tar(where() + ": its data is shorter than its size");
    return std::nullopt;
  }
  if (result != ARCHIVE_OK) refuse_as_libarchive_says(result);
  const auto begin = static_cast<uint64_t>(offset);
  if (begin < data_end || begin > size || count > size - begin || count > data_left)
    refuse_tar(where() + ": its sparse map is out of order");
  data_end = begin + count;
  data_left -= count;
  const auto piece = std::ranges::find_if(pieces, [&](const Piece& p) { return p.has(bytes); });
  return Data{begin,
              {static_cast<const std::byte*>(bytes), count},
              piece == pieces.end() ? nullptr : piece->bytes};
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

std::string TarReader::raw_header() const { return impl_->raw; }
uint64_t TarReader::header_offset() const { return impl_->header_begin; }

void TarReader::drain() {
  impl_->guarded([&] { impl_->drain_source(); });
}

}  // namespace overlayd
