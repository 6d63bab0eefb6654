// SPDX-License-Identifier: Apache-2.0
#include "core/tar_read_ahead.h"

#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "core/error.h"
#include "core/sys.h"
#include "core/tar_field.h"

namespace overlayd {
namespace {

// Of the stream, in a piece. Large enough that handing over does not show.
constexpr size_t kPieceSize = 128 * 1024;

// What a stream may hold in memory in any case: one is being filled, some wait, one is being used,
// and its user may have kept some.
constexpr size_t kOwnPieces = 8;

// Of which as many must be free before a reader that found none goes on: threads that wake each
// other for every piece do little else. The user keeps few enough for that.
constexpr size_t kEnoughFree = 3;

struct Member {
  TarEntry entry;
  uint64_t header_offset;
};

/// Data of the member before it.
using Run = TarReader::Data;

/// That was all of it.
struct End {
  Digest digest;
};

/// A stretch of the stream.
struct Piece {
  std::vector<std::variant<Member, Run, End>> items;
  size_t weight = 0;
  bool is_last = false;
  std::exception_ptr error;  // behind the last item
};

// At least what it takes in the stream, since that stays in memory with the data around it.
size_t weight_of(const TarEntry& entry) {
  size_t weight = 2 * kTarBlock + entry.name.size() + entry.link_name.size();
  for (const auto& [name, value] : entry.xattrs) weight += name.size() + value.size();
  return weight;
}

void keep(TarReader::Data& data) {
  if (data.buffer) return;
  const std::shared_ptr<std::byte[]> copy(new std::byte[data.bytes.size()]);
  copy_bytes(data.bytes, {copy.get(), data.bytes.size()});
  data.bytes = {copy.get(), data.bytes.size()};
  data.buffer = copy;
}

}  // namespace

using Pieces = std::vector<std::unique_ptr<Piece>>;

struct TarReadAhead::Impl {
  Impl(ByteSource& the_source, std::function<void()> the_before_waiting,
       ReadAheadReserve* the_reserve);
  ~Impl();

  // The reading thread.
  void read_all();
  void read_members();
  bool add(TarEntry entry, uint64_t offset);
  bool add(TarReader::Data data);
  bool hand_over_full();
  bool hand_over();
  bool has_free_piece() const;
  void add_piece();

  // The user's.
  bool has_item();
  bool has_piece() const;
  std::unique_ptr<Piece> wait_for_piece();

  // Any thread.
  void take_back(std::unique_ptr<Piece> piece);

  ByteSource& source;

  mutable std::mutex mutex;
  std::condition_variable arrived, freed;
  Pieces waiting;  // in the order of the stream
  Pieces used;
  bool abandoned = false;

  std::unique_ptr<Piece> filling;        // the reading thread's
  ReadAheadReserve* reserve;             // the reading thread's
  size_t taken = 0;                      // of it
  std::function<void()> before_waiting;  // the user's
  std::shared_ptr<Piece> current;        // the user's
  size_t at = 0;                         // the next item in it
  uint64_t header_offset = 0;

  std::thread thread;
};

TarReadAhead::Impl::Impl(ByteSource& the_source, std::function<void()> the_before_waiting,
                         ReadAheadReserve* the_reserve)
    : source(the_source),
      filling(std::make_unique<Piece>()),
      reserve(the_reserve),
      before_waiting(std::move(the_before_waiting)) {
  waiting.reserve(kOwnPieces);
  used.reserve(kOwnPieces);
  while (used.size() < kOwnPieces - 1) used.push_back(std::make_unique<Piece>());
  thread = sys::starting_thread([this] { return std::thread([this] { read_all(); }); });
}

TarReadAhead::Impl::~Impl() {
  {
    const std::lock_guard lock(mutex);
    abandoned = true;
  }
  freed.notify_all();
  thread.join();
  current.reset();
  if (reserve != nullptr) reserve->give_back(taken);
}

void TarReadAhead::Impl::read_all() {
  try {
    read_members();
  } catch (...) {
    filling->error = std::current_exception();
  }
  filling->is_last = true;
  hand_over();
}

void TarReadAhead::Impl::read_members() {
  TarReader tar(source);
  ContentDigest digest;
  while (auto entry = tar.next()) {
    const uint64_t size = entry->size;
    if (!add(*std::move(entry), tar.header_offset())) return;
    while (auto data = tar.read_data()) {
      digest.add(data->offset, data->bytes);
      if (!data->bytes.empty() && !add(*std::move(data))) return;
    }
    filling->items.emplace_back(End{digest.finish(size)});
  }
  tar.drain();
}

// This and the next three: false when nobody wants more.
bool TarReadAhead::Impl::add(TarEntry entry, uint64_t offset) {
  filling->weight += weight_of(entry);
  filling->items.emplace_back(Member{std::move(entry), offset});
  return filling->weight < kPieceSize || hand_over_full();
}

bool TarReadAhead::Impl::add(TarReader::Data data) {
  keep(data);
  filling->weight += data.bytes.size();
  filling->items.emplace_back(std::move(data));
  return filling->weight < kPieceSize || hand_over_full();
}

bool TarReadAhead::Impl::hand_over_full() {
  if (!has_free_piece() && reserve != nullptr && reserve->take()) add_piece();
  return hand_over();
}

bool TarReadAhead::Impl::has_free_piece() const {
  const std::lock_guard lock(mutex);
  return !used.empty();
}

void TarReadAhead::Impl::add_piece() {
  ++taken;  // first: it is given back whatever fails here
  auto piece = std::make_unique<Piece>();
  const std::lock_guard lock(mutex);
  waiting.reserve(kOwnPieces + taken);
  used.reserve(kOwnPieces + taken);
  used.push_back(std::move(piece));
}

// Allocates nothing: it is how an error gets to the user.
bool TarReadAhead::Impl::hand_over() {
  {
    std::unique_lock lock(mutex);
    if (used.empty()) {
      freed.wait(lock, [&] { return abandoned || used.size() >= kEnoughFree; });
    }
    if (abandoned) return false;
    waiting.push_back(std::exchange(filling, std::move(used.back())));
    used.pop_back();
  }
  arrived.notify_one();
  filling->items.clear();  // here, as TarReader wants it
  filling->weight = 0;
  return true;
}

// False at the end of the stream.
bool TarReadAhead::Impl::has_item() {
  while (!current || at == current->items.size()) {
    if (current && current->error) std::rethrow_exception(current->error);
    if (current && current->is_last) return false;
    current.reset();
    current = {wait_for_piece().release(),
               [this](Piece* piece) { take_back(std::unique_ptr<Piece>(piece)); }};
    at = 0;
  }
  return true;
}

bool TarReadAhead::Impl::has_piece() const {
  const std::lock_guard lock(mutex);
  return !waiting.empty();
}

std::unique_ptr<Piece> TarReadAhead::Impl::wait_for_piece() {
  if (before_waiting && !has_piece()) before_waiting();
  std::unique_lock lock(mutex);
  arrived.wait(lock, [&] { return !waiting.empty(); });
  std::unique_ptr<Piece> piece = std::move(waiting.front());
  waiting.erase(waiting.begin());
  return piece;
}

void TarReadAhead::Impl::take_back(std::unique_ptr<Piece> piece) {
  bool is_enough = false;
  {
    const std::lock_guard lock(mutex);
    used.push_back(std::move(piece));
    is_enough = used.size() >= kEnoughFree;
  }
  if (is_enough) freed.notify_one();
}

bool ReadAheadReserve::take() noexcept {
  size_t left = left_;
  while (left > 0 && !left_.compare_exchange_weak(left, left - 1)) {
  }
  return left > 0;
}

TarReadAhead::TarReadAhead(ByteSource& source, std::function<void()> before_waiting,
                           ReadAheadReserve* reserve)
    : impl_(std::make_unique<Impl>(source, std::move(before_waiting), reserve)) {}
TarReadAhead::~TarReadAhead() = default;

std::optional<TarEntry> TarReadAhead::next() {
  while (impl_->has_item()) {
    auto* const member = std::get_if<Member>(&impl_->current->items[impl_->at++]);
    if (member == nullptr) continue;
    impl_->header_offset = member->header_offset;
    return std::move(member->entry);
  }
  return std::nullopt;
}

std::optional<TarReader::Data> TarReadAhead::read_data() {
  if (!impl_->has_item()) return std::nullopt;
  const auto* const run = std::get_if<Run>(&impl_->current->items[impl_->at]);
  if (run == nullptr) return std::nullopt;
  ++impl_->at;
  return TarReader::Data{run->offset, run->bytes, {impl_->current, run->bytes.data()}};
}

Digest TarReadAhead::digest() const {
  return std::get<End>(impl_->current->items[impl_->at]).digest;
}

uint64_t TarReadAhead::header_offset() const { return impl_->header_offset; }

}  // namespace overlayd
