// SPDX-License-Identifier: Apache-2.0
#include "core/write_behind.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "core/thread_behind.h"

namespace overlayd {
namespace {

// Large enough that handing over does not show beside the copying. Three of them are what a stream
// may hold in memory: one is being filled, one waits, one is being written.
constexpr size_t kPieceSize = 128 * 1024;

}  // namespace

struct WriteBehind::Impl {
  explicit Impl(ByteSink& the_sink) : sink(the_sink) {}

  void append(std::span<const std::byte> bytes);
  void take(Buffer& piece);
  void take(FileData file);
  void hand_over();
  void finish();

  Buffer swap_spare(Buffer piece);

  ByteSink& sink;
  Buffer filling;
  bool has_handed_over = false;

  std::mutex mutex;
  Buffer spare;  // written, for its memory

  ThreadBehind thread;
};

void WriteBehind::Impl::append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    if (filling.used > 0 && filling.used == filling.capacity) hand_over();
    if (filling.capacity == 0) filling = Buffer::with_capacity(kPieceSize);
    const auto part = bytes.first(std::min(bytes.size(), filling.free().size()));
    copy_bytes(part, filling.free());
    filling.used += part.size();
    bytes = bytes.subspan(part.size());
  }
}

void WriteBehind::Impl::take(Buffer& piece) {
  if (piece.used == 0) return;
  if (filling.used > 0) hand_over();
  std::swap(filling, piece);
  if (piece.capacity < filling.capacity) piece = Buffer::with_capacity(filling.capacity);
}

void WriteBehind::Impl::take(FileData file) {
  if (filling.used > 0) hand_over();
  has_handed_over = true;
  thread.leave([this, shared = std::make_shared<FileData>(std::move(file))] {
    sink.write_file(std::move(*shared));
  });
}

void WriteBehind::Impl::hand_over() {
  has_handed_over = true;
  const auto piece = std::make_shared<Buffer>(std::exchange(filling, swap_spare({})));
  thread.leave([this, piece] {
    sink.write(piece->bytes());
    piece->used = 0;
    swap_spare(std::move(*piece));
  });
}

Buffer WriteBehind::Impl::swap_spare(Buffer piece) {
  const std::lock_guard lock(mutex);
  return std::exchange(spare, std::move(piece));
}

void WriteBehind::Impl::finish() {
  if (!has_handed_over) return sink.write(filling.bytes());
  if (filling.used > 0) hand_over();
  thread.finish();
}

WriteBehind::WriteBehind(ByteSink& sink) : impl_(std::make_unique<Impl>(sink)) {}
WriteBehind::~WriteBehind() = default;
void WriteBehind::write(std::span<const std::byte> bytes) { impl_->append(bytes); }
void WriteBehind::write_buffer(Buffer& piece) { impl_->take(piece); }
void WriteBehind::write_file(FileData file) { impl_->take(std::move(file)); }
bool WriteBehind::has_failed() const { return impl_->thread.has_failed(); }
void WriteBehind::finish() { impl_->finish(); }

}  // namespace overlayd
