// SPDX-License-Identifier: Apache-2.0
#include "core/stream.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "core/error.h"

namespace overlayd {
namespace {

constexpr size_t kFilePiece = 64 * size_t{1024};

}  // namespace

void copy_bytes(std::span<const std::byte> from, std::span<std::byte> to) {
  std::copy(from.begin(), from.end(), to.first(from.size()).begin());
}

Buffer Buffer::with_capacity(size_t capacity) {
  return {.memory = std::make_unique_for_overwrite<std::byte[]>(capacity), .capacity = capacity};
}

void ByteSink::write_buffer(Buffer& buffer) {
  write({buffer.memory.get(), std::exchange(buffer.used, 0)});
}

void ByteSink::write_file(FileData file) {
  const auto piece = std::make_unique_for_overwrite<std::byte[]>(kFilePiece);
  for (uint64_t at = 0; at < file.size;) {
    const std::span room(piece.get(), std::min<uint64_t>(file.size - at, kFilePiece));
    const size_t count = with_context([&] { return quoted(file.name); },
                                      [&] { return read_at(file.fd.get(), room, at); });
    write(room.first(count));
    at += count;
  }
}

size_t read_at(int fd, std::span<std::byte> room, uint64_t offset) {
  ssize_t count = 0;
  do {
    count = ::pread(fd, room.data(), room.size(), static_cast<off_t>(offset));
  } while (count < 0 && errno == EINTR);
  if (count < 0) throw_errno([] { return std::string("read"); });
  if (count == 0) throw_became_shorter();
  return static_cast<size_t>(count);
}

void throw_became_shorter() { throw Error(ErrorKind::Busy, "became shorter while being read"); }

size_t StringSource::read(std::span<std::byte> buffer) {
  const size_t count = std::min(buffer.size(), rest_.size());
  copy_bytes(as_bytes(rest_.substr(0, count)), buffer);
  rest_.remove_prefix(count);
  return count;
}

void StringSink::write(std::span<const std::byte> bytes) {
  text_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

size_t drain(ByteSource& source) {
  std::array<std::byte, 64 * 1024> buffer;
  size_t total = 0;
  while (const size_t count = source.read(buffer)) total += count;
  return total;
}

}  // namespace overlayd
