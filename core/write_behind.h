// SPDX-License-Identifier: Apache-2.0
//
// WriteBehind: a ByteSink that hands what it is given to another sink in a thread of its own, so
// that reading files overlaps with sending them. Little output never starts the thread. One thread
// uses an object.
#pragma once

#include <memory>
#include <span>

#include "core/stream.h"

namespace overlayd {

class WriteBehind final : public ByteSink {
 public:
  /// `sink` must outlive this, and nobody else may use it before finish() returned.
  explicit WriteBehind(ByteSink& sink);
  /// Drops what has not been written, and waits for a write of the sink that is under way.
  ~WriteBehind() override;
  WriteBehind(const WriteBehind&) = delete;
  WriteBehind& operator=(const WriteBehind&) = delete;

  void write(std::span<const std::byte> bytes) override;
  void write_buffer(Buffer& buffer) override;
  void write_file(FileData file) override;

  /// True when the sink has thrown. What is given behind that is dropped; finish() throws.
  bool has_failed() const;

  /// Returns when the sink has taken everything, or throws what it has thrown; to be called once,
  /// as the last.
  void finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace overlayd
