// SPDX-License-Identifier: Apache-2.0
//
// TarReadAhead: a TarReader in a thread of its own, some way ahead of its user, so that receiving
// and judging a tar overlaps with making files of it, and so does digesting their data. Members,
// data and errors come in the order of the stream, as if there were no thread. One thread uses an
// object.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "core/content_digest.h"
#include "core/stream.h"
#include "core/tar_entry.h"
#include "core/tar_reader.h"

namespace overlayd {

/// Memory that the streams of a store share: each that is read faster than it is used takes of it
/// beyond its own. Any thread.
class ReadAheadReserve {
 public:
  /// In pieces of a stream, as TarReadAhead has them.
  explicit ReadAheadReserve(size_t pieces) : left_(pieces) {}
  /// False when nothing is left.
  bool take() noexcept;
  void give_back(size_t pieces) noexcept { left_ += pieces; }
  /// What nobody has taken at this moment.
  size_t left() const noexcept { return left_; }

 private:
  std::atomic<size_t> left_;
};

class TarReadAhead {
 public:
  /// Starts to read; the thread has the rights of the one that calls. `source` must outlive this,
  /// and nobody else may use it meanwhile. `before_waiting` is called where next() or read_data()
  /// must wait for the source: whoever keeps data lets go of it there. `reserve`, if there is one,
  /// must outlive this as well.
  explicit TarReadAhead(ByteSource& source, std::function<void()> before_waiting = {},
                        ReadAheadReserve* reserve = nullptr);
  /// Waits for a read of the source that is under way, and leaves the rest unread.
  ~TarReadAhead();
  TarReadAhead(const TarReadAhead&) = delete;
  TarReadAhead& operator=(const TarReadAhead&) = delete;

  /// As TarReader::next(), but nullopt means that the source was read to its clean end as well.
  std::optional<TarEntry> next();

  /// As TarReader::read_data(). `buffer` is never null, and any thread may let it go while this
  /// lives. A stream has eight pieces of its own in memory, of 128 KiB or more: whoever still keeps
  /// data of five after `before_waiting` may wait for ever.
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
