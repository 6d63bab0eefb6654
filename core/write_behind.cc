// SPDX-License-Identifier: Apache-2.0
#include "core/write_behind.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "core/error.h"
#include "core/sys.h"

namespace overlayd {
namespace {

// Large enough that handing over does not show beside the copying. Three of them are what a stream
// may hold in memory: one is being filled, one waits, one is being written.
constexpr size_t kPieceSize = 128 * 1024;

}  // namespace

struct WriteBehind::Impl {
  explicit Impl(ByteSink& the_sink) : sink(the_sink) {}
  ~Impl();

  void append(std::span<const std::byte> bytes);
  void take(Buffer& piece);
  void hand_over();
  void finish();

  void write_all();  // the thread
  bool write_next();

  ByteSink& sink;
  Buffer filling;

  std::mutex mutex;
  std::condition_variable changed;
  std::optional<Buffer> waiting;
  Buffer spare;  // written, for its memory
  bool closing = false;
  std::exception_ptr error;  // the thread has ended with it

  std::thread thread;
};

WriteBehind::Impl::~Impl() {
  if (!thread.joinable()) return;
  {
    const std::lock_guard lock(mutex);
    waiting.reset();
    closing = true;
  }
  changed.notify_all();
  thread.join();
}

void WriteBehind::Impl::append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    if (filling.used > 0 && filling.used == filling.capacity) hand_over();
    if (filling.capacity == 0) filling = Buffer::with_capacity(kPieceSize);
    const auto part = bytes.first(std::min(bytes.size(), filling.free().size()));
    std::ranges::copy(part, filling.free().begin());
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

void WriteBehind::Impl::hand_over() {
  if (!thread.joinable()) {
    thread = sys::starting_thread([this] { return std::thread([this] { write_all(); }); });
  }
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return error || !waiting; });
  if (error) std::rethrow_exception(error);
  waiting = std::exchange(filling, std::exchange(spare, {}));
  lock.unlock();  // whom notify_all wakes needs it
  changed.notify_all();
}

void WriteBehind::Impl::finish() {
  if (!thread.joinable()) {
    if (filling.used > 0) sink.write(filling.bytes());
    return;
  }
  if (filling.used > 0) hand_over();
  {
    const std::lock_guard lock(mutex);
    closing = true;
  }
  changed.notify_all();
  thread.join();
  if (error) std::rethrow_exception(error);
}

void WriteBehind::Impl::write_all() {
  try {
    while (write_next()) {
    }
  } catch (...) {
    const std::lock_guard lock(mutex);
    error = std::current_exception();
  }
  changed.notify_all();
}

bool WriteBehind::Impl::write_next() {
  Buffer piece;
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return waiting || closing; });
    if (!waiting) return false;
    piece = *std::exchange(waiting, std::nullopt);
  }
  changed.notify_all();
  sink.write(piece.bytes());
  piece.used = 0;
  const std::lock_guard lock(mutex);
  spare = std::move(piece);
  return true;
}

WriteBehind::WriteBehind(ByteSink& sink) : impl_(std::make_unique<Impl>(sink)) {}
WriteBehind::~WriteBehind() = default;
void WriteBehind::write(std::span<const std::byte> bytes) { impl_->append(bytes); }
void WriteBehind::write_buffer(Buffer& piece) { impl_->take(piece); }
void WriteBehind::finish() { impl_->finish(); }

}  // namespace overlayd
