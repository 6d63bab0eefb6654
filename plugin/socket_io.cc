// SPDX-License-Identifier: Apache-2.0
#include "plugin/socket_io.h"

#include <poll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "core/error.h"
#include "core/stream.h"

namespace overlayd {
namespace {

// The end of a chunk and the head of the next one, with room to spare.
constexpr size_t kFraming = 256;

// Errors of sendfile(2) that are none of the file.
bool is_about_peer(int errnum) {
  return errnum == EPIPE || errnum == ECONNRESET || errnum == ENOTCONN || errnum == ESHUTDOWN;
}

// The iovecs of `parts` without their first `skip` bytes.
size_t fill_iovecs(std::span<const std::span<const std::byte>> parts, size_t skip,
                   std::span<iovec> vectors) {
  size_t count = 0;
  for (const auto part : parts) {
    const size_t dropped = std::min(skip, part.size());
    skip -= dropped;
    if (dropped == part.size()) continue;
    const auto rest = part.subspan(dropped);
    vectors[count++] = {.iov_base = const_cast<std::byte*>(rest.data()), .iov_len = rest.size()};
  }
  return count;
}

}  // namespace

SocketIo::SocketIo(int fd)
    : fd_(fd), in_(std::make_unique_for_overwrite<std::byte[]>(kReceiveSize)) {}

bool SocketIo::wait_readable(int stop_fd) {
  if (in_begin_ < in_end_) return true;
  // poll, not select: the descriptor may well be above FD_SETSIZE.
  std::array<pollfd, 2> fds{pollfd{.fd = fd_, .events = POLLIN, .revents = 0},
                            pollfd{.fd = stop_fd, .events = POLLIN, .revents = 0}};
  int ready = 0;
  do {
    ready = ::poll(fds.data(), fds.size(), -1);
  } while (ready < 0 && errno == EINTR);
  if (ready < 0 || fds[1].revents != 0) return false;
  receive({}, kReceiveSize);
  return in_end_ > 0;
}

size_t SocketIo::read(std::span<std::byte> buffer) {
  if (in_begin_ == in_end_) {
    if (!flush()) return 0;
    return receive(buffer, buffer.size() < kLargeRead ? kReceiveSize : kFraming);
  }
  const size_t count = std::min(buffer.size(), in_end_ - in_begin_);
  copy_bytes({in_.get() + in_begin_, count}, buffer);
  in_begin_ += count;
  return count;
}

// Into `buffer`, and once that is full up to `beyond` bytes into the empty `in_`. Returns how many
// are in `buffer`.
size_t SocketIo::receive(std::span<std::byte> buffer, size_t beyond) {
  std::array<iovec, 2> vectors{iovec{.iov_base = buffer.data(), .iov_len = buffer.size()},
                               iovec{.iov_base = in_.get(), .iov_len = beyond}};
  msghdr message{};
  message.msg_iov = vectors.data();
  message.msg_iovlen = vectors.size();
  ssize_t received = 0;
  do {
    received = ::recvmsg(fd_, &message, 0);
  } while (received < 0 && errno == EINTR);
  const size_t count = received > 0 ? static_cast<size_t>(received) : 0;
  const size_t direct = std::min(count, buffer.size());
  in_begin_ = 0;
  in_end_ = count - direct;
  return direct;
}

bool SocketIo::write(std::span<const std::byte> bytes) { return write({}, bytes, {}); }

bool SocketIo::write(std::string_view head, std::span<const std::byte> body,
                     std::string_view tail) {
  if (broken_) return false;
  if (out_.size() + head.size() + body.size() + tail.size() > kBufferSize) {
    const std::array<std::span<const std::byte>, 4> parts{out_, as_bytes(head), body,
                                                          as_bytes(tail)};
    const bool sent = send_all(parts);
    out_.clear();
    return sent;
  }
  buffer(as_bytes(head));
  buffer(body);
  buffer(as_bytes(tail));
  return true;
}

bool SocketIo::send_file(int file, uint64_t size) {
  if (!flush()) return false;
  off_t offset = 0;
  for (uint64_t left = size; left > 0; left = size - static_cast<uint64_t>(offset)) {
    // One call takes no more than 2 GiB, and says how many it took.
    const ssize_t sent = ::sendfile(fd_, file, &offset, left);
    if (sent > 0 || (sent < 0 && errno == EINTR)) continue;
    if (sent == 0) throw_became_shorter();
    if (offset == 0 && errno == EINVAL) return send_copy(file, size);
    broken_ = true;
    if (is_about_peer(errno)) return false;
    throw_errno([] { return std::string("read"); });
  }
  return true;
}

// For file systems from whose files the kernel cannot send.
bool SocketIo::send_copy(int file, uint64_t size) {
  std::vector<std::byte> piece(kBufferSize);
  for (uint64_t at = 0; at < size;) {
    const auto room = std::span(piece).first(std::min<uint64_t>(size - at, piece.size()));
    const size_t count = read_at(file, room, at);
    if (!write(room.first(count))) return false;
    at += count;
  }
  return true;
}

void SocketIo::buffer(std::span<const std::byte> bytes) {
  out_.insert(out_.end(), bytes.begin(), bytes.end());
}

bool SocketIo::flush() {
  if (broken_) return false;
  if (out_.empty()) return true;
  const std::array<std::span<const std::byte>, 1> parts{out_};
  const bool sent = send_all(parts);
  out_.clear();
  return sent;
}

bool SocketIo::send_all(std::span<const std::span<const std::byte>> parts) {
  std::array<iovec, 4> vectors;
  size_t sent = 0;
  while (const size_t count = fill_iovecs(parts, sent, vectors)) {
    msghdr message{};
    message.msg_iov = vectors.data();
    message.msg_iovlen = count;
    const ssize_t written = ::sendmsg(fd_, &message, MSG_NOSIGNAL);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      broken_ = true;
      return false;
    }
    sent += static_cast<size_t>(written);
  }
  return true;
}

}  // namespace overlayd
