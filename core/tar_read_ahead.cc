// SPDX-License-Identifier: Apache-2.0
#include "core/tar_read_ahead.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "core/error.h"

namespace overlayd {
namespace {

// Large enough that handing over does not show beside the copying. Three of them are what a stream
// may hold in memory: one is being filled, one waits, one is being used.
constexpr size_t kPieceSize = 256 * 1024;

struct Member {
  TarEntry entry;
  uint64_t header_offset;
};

/// Data of the member before it; a run of no bytes says that this was all of it.
struct Run {
  uint64_t offset;  // in the file
  size_t begin;     // in Piece::bytes
  size_t size;
};

/// A stretch of the stream.
struct Piece {
  std::vector<std::variant<Member, Run>> items;
  std::vector<std::byte> bytes;
  size_t weight = 0;  // of both
  bool is_last = false;
  std::exception_ptr error;  // behind the last item
};

size_t weight_of(const TarEntry& entry) {
  size_t weight = sizeof(Member) + entry.name.size() + entry.link_name.size();
  for (const auto& [name, value] : entry.xattrs) weight += name.size() + value.size();
  return weight;
}

}  // namespace

struct TarReadAhead::Impl {
  explicit Impl(ByteSource& the_source) : source(the_source) {
    try {
      thread = std::thread([this] { read_all(); });
    } catch (const std::system_error& error) {
      throw SysError(error.code().value(), "start a thread");
    }
  }

  ~Impl() {
    {
      const std::lock_guard lock(mutex);
      abandoned = true;
    }
    changed.notify_all();
    thread.join();
  }

  // The reading thread.
  void read_all();
  void read_members();
  bool add(TarEntry entry, uint64_t offset);
  bool add(TarReader::Data data);
  bool hand_over();

  // The user's.
  bool has_item();

  ByteSource& source;

  Piece filling;  // the reading thread's
  Piece current;  // the user's
  size_t at = 0;  // the next item in it
  uint64_t header_offset = 0;

  std::mutex mutex;
  std::condition_variable changed;
  std::optional<Piece> waiting;
  Piece spare;  // emptied, for its memory
  bool abandoned = false;

  std::thread thread;
};

void TarReadAhead::Impl::read_all() {
  try {
    read_members();
  } catch (...) {
    filling.error = std::current_exception();
  }
  filling.is_last = true;
  hand_over();
}

void TarReadAhead::Impl::read_members() {
  TarReader tar(source);
  while (auto entry = tar.next()) {
    if (!add(*std::move(entry), tar.header_offset())) return;
    while (const auto data = tar.read_data()) {
      if (!add(*data)) return;
    }
    filling.items.emplace_back(Run{});
  }
  tar.drain();
}

// This and the next two: false when nobody wants more.
bool TarReadAhead::Impl::add(TarEntry entry, uint64_t offset) {
  filling.weight += weight_of(entry);
  filling.items.emplace_back(Member{std::move(entry), offset});
  return filling.weight < kPieceSize || hand_over();
}

bool TarReadAhead::Impl::add(TarReader::Data data) {
  while (!data.bytes.empty()) {
    const auto part = data.bytes.first(std::min(data.bytes.size(), kPieceSize - filling.weight));
    filling.items.emplace_back(Run{data.offset, filling.bytes.size(), part.size()});
    filling.bytes.insert(filling.bytes.end(), part.begin(), part.end());
    filling.weight += part.size();
    data.offset += part.size();
    data.bytes = data.bytes.subspan(part.size());
    if (filling.weight >= kPieceSize && !hand_over()) return false;
  }
  return true;
}

bool TarReadAhead::Impl::hand_over() {
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return abandoned || !waiting; });
  waiting = std::exchange(filling, std::exchange(spare, {}));
  filling.bytes.reserve(kPieceSize);
  changed.notify_all();
  return !abandoned;
}

// False at the end of the stream.
bool TarReadAhead::Impl::has_item() {
  while (at == current.items.size()) {
    if (current.error) std::rethrow_exception(current.error);
    if (current.is_last) return false;
    current.items.clear();
    current.bytes.clear();
    current.weight = 0;
    at = 0;
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return waiting.has_value(); });
    spare = std::exchange(current, *std::move(waiting));
    waiting.reset();
    changed.notify_all();
  }
  return true;
}

TarReadAhead::TarReadAhead(ByteSource& source) : impl_(std::make_unique<Impl>(source)) {}
TarReadAhead::~TarReadAhead() = default;

std::optional<TarEntry> TarReadAhead::next() {
  while (impl_->has_item()) {
    auto* const member = std::get_if<Member>(&impl_->current.items[impl_->at++]);
    if (member == nullptr) continue;
    impl_->header_offset = member->header_offset;
    return std::move(member->entry);
  }
  return std::nullopt;
}

std::optional<TarReader::Data> TarReadAhead::read_data() {
  if (!impl_->has_item()) return std::nullopt;
  const auto* const run = std::get_if<Run>(&impl_->current.items[impl_->at]);
  if (run == nullptr || run->size == 0) return std::nullopt;
  ++impl_->at;
  return TarReader::Data{run->offset,
                         std::span(impl_->current.bytes).subspan(run->begin, run->size)};
}

uint64_t TarReadAhead::header_offset() const { return impl_->header_offset; }

}  // namespace overlayd
