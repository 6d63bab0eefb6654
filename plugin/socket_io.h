// SPDX-License-Identifier: Apache-2.0
//
// SocketIo: buffered reading and writing on one connected stream socket. It knows nothing of HTTP;
// plugin/http_body.h and plugin/http_server.h lie on it.
//
// Threads: one thread uses it. Another may shutdown(2) the descriptor, which is how a blocked read
// or write is ended; there are no timeouts, since an engine may pause a layer for as long as it
// likes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace overlayd {

class SocketIo {
 public:
  /// Room for a tar's usual 32 KiB writes twice over; larger writes pass the buffer by.
  static constexpr size_t kBufferSize = 64 * 1024;
  /// What small reads are served from.
  static constexpr size_t kReceiveSize = 64 * 1024;
  /// A read that is as large receives into its own buffer, and into ours no more than what frames
  /// the next piece.
  static constexpr size_t kLargeRead = 8 * 1024;

  /// `fd` stays the caller's and must outlive this.
  explicit SocketIo(int fd);

  /// Waits for the next byte to read. False: the peer is gone, or `stop_fd` became readable first.
  bool wait_readable(int stop_fd);

  /// At least one byte, or 0 once the peer has closed its side or the connection broke. Whatever
  /// was written is sent first.
  size_t read(std::span<std::byte> buffer);

  /// False: the connection broke; bytes may wait in the buffer until flush() or read().
  bool write(std::span<const std::byte> bytes);
  /// Sends `head`, `body` and `tail` as one; the same as three writes, without copying a large
  /// body.
  bool write(std::string_view head, std::span<const std::byte> body, std::string_view tail);
  /// Sends the first `size` bytes of a file, which the kernel need not copy: what is written to the
  /// file meanwhile may be among them. Throws as core/stream.h's read_at(). The process must ignore
  /// SIGPIPE.
  bool send_file(int file, uint64_t size);
  bool flush();

 private:
  size_t receive(std::span<std::byte> buffer, size_t beyond);
  bool send_copy(int file, uint64_t size);
  bool send_all(std::span<const std::span<const std::byte>> parts);
  void buffer(std::span<const std::byte> bytes);

  int fd_;
  std::unique_ptr<std::byte[]> in_;  ///< memory that nothing was received into costs nothing
  size_t in_begin_ = 0;
  size_t in_end_ = 0;
  std::vector<std::byte> out_;  ///< grows up to kBufferSize
  bool broken_ = false;         ///< a send failed: nothing more may go out
};

}  // namespace overlayd
