// SPDX-License-Identifier: Apache-2.0
//
// HttpBody: the body of one HTTP/1.1 request as a ByteSource, taken straight off the socket by
// whoever reads it. Pulling keeps one layer upload on one thread with no queue in between, and lets
// a stalled extraction push back on the sender through the socket alone.
//
// Threads: one thread uses it. Errors: Aborted when the sender goes away before the end;
// InvalidArgument for framing that is not HTTP. After an error the connection is of no further use.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/stream.h"
#include "plugin/socket_io.h"

namespace overlayd {

class HttpBody final : public ByteSource {
 public:
  /// The two header values, empty where the header is absent; both absent means an empty body.
  /// Throws Error(InvalidArgument) for both at once, for any coding but "chunked", and for a bad
  /// length.
  static HttpBody framed_by(SocketIo& io, std::string_view content_length,
                            std::string_view transfer_encoding);

  size_t read(std::span<std::byte> buffer) override;

  /// True once the last byte, and of a chunked body also its terminating chunk, has been read.
  bool finished() const noexcept { return state_ == State::Finished; }

  /// Reads and drops what is left. False: the connection is of no further use.
  bool drain_rest() noexcept;

 private:
  enum class State { ChunkHead, Data, Finished, Broken };

  HttpBody(SocketIo& io, bool chunked, uint64_t length);
  size_t read_data(std::span<std::byte> buffer);
  void next_chunk();
  void end_chunk();
  void skip_trailers();
  std::string read_line();
  [[noreturn]] void cut_short();

  SocketIo* io_;
  bool chunked_;
  State state_;
  uint64_t left_;  ///< bytes left of the body or of the current chunk
};

}  // namespace overlayd
