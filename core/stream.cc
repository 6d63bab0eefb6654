// SPDX-License-Identifier: Apache-2.0
#include "core/stream.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace overlayd {

Buffer Buffer::with_capacity(size_t capacity) {
  return {.memory = std::make_unique_for_overwrite<std::byte[]>(capacity), .capacity = capacity};
}

void ByteSink::write_buffer(Buffer& buffer) {
  write({buffer.memory.get(), std::exchange(buffer.used, 0)});
}

size_t StringSource::read(std::span<std::byte> buffer) {
  const size_t count = std::min(buffer.size(), rest_.size());
  if (count > 0) std::memcpy(buffer.data(), rest_.data(), count);
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
