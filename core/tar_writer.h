// SPDX-License-Identifier: Apache-2.0
//
// TarWriter: encodes layer tars exactly as Go's archive/tar does for the same headers in PAX
// format, because engines compare digests of what they re-encode: plain ustar where everything fits
// (with the prefix/name split), otherwise one PAX 'x' header before it with only the records that
// do not fit, sorted by key. Format: POSIX.1-2001 pax; Go's choices are documented in
// docs/layers.md. One thread uses a writer.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "core/stream.h"
#include "core/tar_entry.h"

namespace overlayd {

class TarWriter {
 public:
  /// Collects small writes; the sink sees blocks of about 64 KiB or larger pieces of file data.
  explicit TarWriter(ByteSink& sink);

  /// Starts the next member; the previous one's data must be complete. mtime goes into the tar in
  /// whole seconds when nanoseconds is 0, else with a PAX record. Error(InvalidArgument) names the
  /// entry for what no PAX tar can carry: a NUL in a name, a mode or device number that does not
  /// fit.
  void begin(const TarEntry& entry);

  /// Data of the member begun last; more than its size is a programming error (aborts).
  void data(std::span<const std::byte> bytes);

  /// Where the next of its data may be put, for who can read it straight to there: no more than is
  /// to come, and something if anything is. Then filled() says how much was put.
  std::span<std::byte> room();
  void filled(size_t count);

  /// All data of the member begun last, from the file that has it.
  void file(FileData file);

  /// Bytes of the current member still to come.
  uint64_t remaining() const { return remaining_; }

  /// The two closing zero blocks, and everything out to the sink.
  void finish();

 private:
  void put(std::span<const std::byte> bytes);
  void pad();

  ByteSink& sink_;
  Buffer buffer_;
  uint64_t remaining_ = 0;
  uint64_t padding_ = 0;
};

/// The header blocks of one member (PAX 'x' header included), without its data. Pure.
std::string encode_tar_header(const TarEntry& entry);

}  // namespace overlayd
