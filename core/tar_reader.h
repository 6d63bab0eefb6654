// SPDX-License-Identifier: Apache-2.0
//
// TarReader: uncompressed tar bytes in, TarEntry values out, by libarchive behind a ByteSource: v7,
// ustar, pax, GNU long names, base-256 numbers, GNU and PAX sparse files. It judges the tar's
// syntax and size, not where a member would land: that is core/layer_apply.h. One thread uses a
// reader.
//
// Bounded: memory stays below a few MiB whatever the stream says (limits in core/tar_header.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "core/stream.h"
#include "core/tar_entry.h"
#include "core/tar_header.h"  // the limits

namespace overlayd {

class TarReader {
 public:
  /// `source` must outlive the reader. An empty stream and one of zero blocks are an empty tar.
  explicit TarReader(ByteSource& source);
  ~TarReader();
  TarReader(const TarReader&) = delete;
  TarReader& operator=(const TarReader&) = delete;

  /// The next member, or nullopt at the end of the archive. Skips what is left of the previous
  /// member's data; PAX global headers are passed over if all they say is what engines may ignore.
  /// Throws Error(BadArchive) naming the offset and, where known, the member: damaged or truncated
  /// headers, a compressed stream (the message says which compression), types other than TarType's,
  /// names that are empty, contain NUL or exceed kMaxTarName, and whatever Go's archive/tar refuses
  /// or readers are known to disagree on.
  /// Whatever `source` throws comes through. After a throw every call throws the same again.
  std::optional<TarEntry> next();

  /// A run of the current member's data. Holes of sparse files are skipped over: `offset` jumps,
  /// and of a hole at the end only the entry's size tells.
  struct Data {
    uint64_t offset = 0;               ///< in the file
    std::span<const std::byte> bytes;  ///< valid until the next call on the reader
    /// Keeps them valid for longer. Null when nothing can: then copy them. To be let go by the
    /// thread that uses the reader.
    std::shared_ptr<const std::byte[]> buffer = nullptr;
  };
  /// The next run, or nullopt at the end of the member. A member shorter than its size is
  /// BadArchive.
  std::optional<Data> read_data();

  /// The exact header blocks of the current member as they came (extension headers and a sparse map
  /// included), for stores that keep layers in their original framing.
  std::string raw_header() const;

  /// Where in the stream the current member's first header block is.
  uint64_t header_offset() const;

  /// After next() returned nullopt: reads the source to its clean end (bytes behind the closing
  /// blocks are padding and ignored).
  void drain();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace overlayd
