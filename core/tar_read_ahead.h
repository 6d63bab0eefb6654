// SPDX-License-Identifier: Apache-2.0
//
// TarReadAhead: a TarReader in a thread of its own, some way ahead of its user, so that receiving
// and judging a tar overlaps with making files of it, and so does digesting their data. Members,
// data and errors come in the order of the stream, as if there were no thread. One thread uses an
// object.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "core/content_digest.h"
#include "core/stream.h"
#include "core/tar_entry.h"
#include "core/tar_reader.h"

namespace overlayd {

class TarReadAhead {
 public:
  /// Starts to read; the thread has the rights of the one that calls. `source` must outlive this,
  /// and nobody else may use it meanwhile.
  explicit TarReadAhead(ByteSource& source);
  /// Waits for a read of the source that is under way, and leaves the rest unread.
  ~TarReadAhead();
  TarReadAhead(const TarReadAhead&) = delete;
  TarReadAhead& operator=(const TarReadAhead&) = delete;

  /// As TarReader::next(), but nullopt means that the source was read to its clean end as well.
  std::optional<TarEntry> next();

  /// As TarReader::read_data(). `buffer` is never null, and any thread may let it go while this
  /// lives. There are eight pieces of the stream in memory, of 128 KiB or more: whoever keeps data
  /// of five and asks for more may wait for ever.
  std::optional<TarReader::Data> read_data();

  /// Of the current member's data, all of which read_data() has given.
  Digest digest() const;

  /// Where in the stream the current member's first header block is.
  uint64_t header_offset() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace overlayd
