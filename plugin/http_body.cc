// SPDX-License-Identifier: Apache-2.0
#include "plugin/http_body.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <vector>

#include "core/error.h"

namespace overlayd {
namespace {

// Chunk sizes with their extensions, and trailers, are short lines in practice.
constexpr size_t kMaxLine = 8 * 1024;

[[noreturn]] void refuse(const std::string& what) {
  throw Error(ErrorKind::InvalidArgument, "request body: " + what);
}

bool is_chunked(std::string_view text) {
  return std::equal(text.begin(), text.end(), "chunked", "chunked" + 7, [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) == b;
  });
}

uint64_t parse_number(std::string_view text, int base, const char* what) {
  uint64_t value = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (status != std::errc() || end != text.data() + text.size() || text.empty())
    refuse(std::string("bad ") + what + " " + quoted(text));
  return value;
}

}  // namespace

HttpBody HttpBody::framed_by(SocketIo& io, std::string_view content_length,
                             std::string_view transfer_encoding) {
  if (transfer_encoding.empty()) {
    const bool none = content_length.empty();
    return HttpBody(io, false, none ? 0 : parse_number(content_length, 10, "Content-Length"));
  }
  if (!content_length.empty()) refuse("both Content-Length and Transfer-Encoding are given");
  if (!is_chunked(transfer_encoding))
    refuse("unknown transfer coding " + quoted(transfer_encoding));
  return HttpBody(io, true, 0);
}

HttpBody::HttpBody(SocketIo& io, bool chunked, uint64_t length)
    : io_(&io),
      chunked_(chunked),
      state_(chunked      ? State::ChunkHead
             : length > 0 ? State::Data
                          : State::Finished),
      left_(length) {}

size_t HttpBody::read(std::span<std::byte> buffer) {
  if (state_ == State::Broken) cut_short();
  try {
    if (state_ == State::ChunkHead) next_chunk();
    return state_ == State::Data ? read_data(buffer) : 0;
  } catch (const Error&) {
    state_ = State::Broken;
    throw;
  }
}

size_t HttpBody::read_data(std::span<std::byte> buffer) {
  const size_t want = static_cast<size_t>(std::min<uint64_t>(buffer.size(), left_));
  const size_t count = io_->read(buffer.first(want));
  if (count == 0) cut_short();
  left_ -= count;
  if (left_ == 0) end_chunk();
  return count;
}

void HttpBody::end_chunk() {
  if (!chunked_) {
    state_ = State::Finished;
    return;
  }
  if (!read_line().empty()) refuse("a chunk is longer than it says");
  state_ = State::ChunkHead;
}

void HttpBody::next_chunk() {
  const std::string line = read_line();
  std::string_view size = std::string_view(line).substr(0, line.find(';'));
  size = size.substr(0, size.find_last_not_of(" \t") + 1);
  left_ = parse_number(size, 16, "chunk size");
  if (left_ > 0) {
    state_ = State::Data;
    return;
  }
  skip_trailers();
  state_ = State::Finished;
}

void HttpBody::skip_trailers() {
  while (!read_line().empty()) {
  }
}

std::string HttpBody::read_line() {
  std::string line;
  std::byte byte{};
  while (line.size() < kMaxLine) {
    if (io_->read({&byte, 1}) == 0) cut_short();
    if (byte == std::byte{'\n'}) {
      if (line.ends_with('\r')) line.pop_back();
      return line;
    }
    line += static_cast<char>(byte);
  }
  refuse("a chunk header is too long");
}

void HttpBody::cut_short() {
  throw Error(ErrorKind::Aborted, "request body ended before its announced end");
}

bool HttpBody::drain_rest() noexcept {
  if (finished()) return true;
  try {
    drain(*this);
    return true;
  } catch (...) {
    return false;
  }
}

}  // namespace overlayd
