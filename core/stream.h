// SPDX-License-Identifier: Apache-2.0
//
// ByteSource and ByteSink: the two joints through which tar bytes enter and leave core. Core never
// knows whether they come from a socket, a file or a test. One thread uses a stream at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/unique_fd.h"

namespace overlayd {

class ByteSource {
 public:
  virtual ~ByteSource() = default;

  /// Blocks until at least one byte is there; returns how many were stored at the front of
  /// `buffer`, 0 only at the clean end of the stream. Throws Error (Aborted when the sender went
  /// away before the end: a stream that merely stops is never a clean end).
  virtual size_t read(std::span<std::byte> buffer) = 0;
};

/// Copies `from` to where `to` begins, which must have room for it. One call for all of them, where
/// std::ranges::copy of a span takes them one by one (GCC 12).
void copy_bytes(std::span<const std::byte> from, std::span<std::byte> to);

/// Bytes in memory that changes hands.
struct Buffer {
  static Buffer with_capacity(size_t capacity);

  std::span<const std::byte> bytes() const { return {memory.get(), used}; }
  std::span<std::byte> free() { return {memory.get() + used, capacity - used}; }

  std::unique_ptr<std::byte[]> memory;  ///< not initialised
  size_t capacity = 0;
  size_t used = 0;
};

/// The beginning of an open file.
struct FileData {
  UniqueFd fd;
  uint64_t size = 0;
  std::string name;  ///< for errors
};

class ByteSink {
 public:
  virtual ~ByteSink() = default;

  /// Takes all of `bytes` or throws Error (Aborted when the receiver went away).
  virtual void write(std::span<const std::byte> bytes) = 0;

  /// The same for the bytes in `buffer`, which comes back empty and no smaller, perhaps as other
  /// memory: a sink that keeps bytes for a while need not copy them.
  virtual void write_buffer(Buffer& buffer);

  /// The same for bytes of a file, which a sink may have the kernel hand over: what is written to
  /// the file meanwhile may be among them. Throws Error naming the file: Busy when it is shorter by
  /// now, SysError when it cannot be read.
  virtual void write_file(FileData file);
};

/// Reads at least one byte of the data of a file; for who writes a write_file(). Throws SysError,
/// and as throw_became_shorter() where the file ends.
size_t read_at(int fd, std::span<std::byte> room, uint64_t offset);
[[noreturn]] void throw_became_shorter();

/// A source over memory; `text` must outlive it.
class StringSource final : public ByteSource {
 public:
  explicit StringSource(std::string_view text) : rest_(text) {}
  size_t read(std::span<std::byte> buffer) override;

 private:
  std::string_view rest_;
};

/// A sink that collects everything.
class StringSink final : public ByteSink {
 public:
  void write(std::span<const std::byte> bytes) override;
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

/// Reads and drops everything up to the clean end; returns the number of bytes dropped.
size_t drain(ByteSource& source);

inline std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace overlayd
