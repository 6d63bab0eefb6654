// SPDX-License-Identifier: Apache-2.0
#include "core/write_behind.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/sys.h"

namespace overlayd {
namespace {

// Large enough that handing over does not show beside the copying. Three of them are what a stream
// may hold in memory: one is being filled, one waits, one is being written.
constexpr size_t kPieceSize = 128 * 1024;

using Piece = std::vector<std::byte>;

}  // namespace

struct WriteBehind::Impl {
  explicit Impl(ByteSink& the_sink) : sink(the_sink) {}
  ~Impl();

  void append(std::span<const std::byte> bytes);
  void hand_over();
  void finish();

  void write_all();  // the thread
  bool write_next();

  ByteSink& sink;
  Piece filling;

  std::mutex mutex;
  std::condition_variable changed;
  std::optional<Piece> waiting;
  Piece spare;  // written, for its memory
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
    if (filling.size() == kPieceSize) hand_over();
    filling.reserve(kPieceSize);
    const auto part = bytes.first(std::min(bytes.size(), kPieceSize - filling.size()));
    filling.insert(filling.end(), part.begin(), part.end());
    bytes = bytes.subspan(part.size());
  }
}

void WriteBehind::Impl::hand_over() {
  if (!thread.joinable()) {
    thread = sys::starting_thread([this] { return std::thread([this] { write_all(); }); });
  }
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return error || !waiting; });
  if (error) std::rethrow_exception(error);
  waiting = std::exchange(filling, std::exchange(spare, {}));
  filling.clear();
  lock.unlock();  // whom notify_all wakes needs it
  changed.notify_all();
}

void WriteBehind::Impl::finish() {
  if (!thread.joinable()) {
    if (!filling.empty()) sink.write(filling);
    return;
  }
  if (!filling.empty()) hand_over();
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
  Piece piece;
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return waiting || closing; });
    if (!waiting) return false;
    piece = *std::exchange(waiting, std::nullopt);
  }
  changed.notify_all();
  sink.write(piece);
  const std::lock_guard lock(mutex);
  spare = std::move(piece);
  return true;
}

WriteBehind::WriteBehind(ByteSink& sink) : impl_(std::make_unique<Impl>(sink)) {}
WriteBehind::~WriteBehind() = default;
void WriteBehind::write(std::span<const std::byte> bytes) { impl_->append(bytes); }
void WriteBehind::finish() { impl_->finish(); }

}  // namespace overlayd
