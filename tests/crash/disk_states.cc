// SPDX-License-Identifier: Apache-2.0
#include "tests/crash/disk_states.h"

#include <algorithm>
#include <limits>

namespace overlayd::test {
namespace {

using Kind = DiskEvent::Kind;

uint64_t mix(uint64_t hash, uint64_t value) {
  hash ^= value + 0x9e3779b97f4a7c15U + (hash << 6U) + (hash >> 2U);
  return hash * 0xff51afd7ed558ccdU;
}

size_t below(size_t limit, std::mt19937_64& random) { return random() % limit; }

}  // namespace

uint64_t DiskState::hash() const {
  uint64_t hash = 0;
  for (const Fragment& fragment : kept) hash = mix(mix(hash, fragment.write), fragment.offset);
  return hash;
}

DiskStates::DiskStates(const DiskLog& log)
    : log_(log), safe_from_(log.size(), std::numeric_limits<uint32_t>::max()) {
  std::vector<uint32_t> answered;                   // writes that the next flush covers
  std::vector<uint32_t> covered_by(log.size(), 0);  // by position of a flush: how many of these
  for (uint32_t at = 0; at < log.size(); ++at) {
    const DiskEvent& event = log[at];
    switch (event.kind) {
      case Kind::Write: {
        std::span<const std::byte> rest = log.bytes(event);
        for (uint64_t offset = event.offset; !rest.empty();) {
          const size_t length = std::min<size_t>(rest.size(), kSector - offset % kSector);
          fragments_.push_back({at, offset, rest.first(length)});
          rest = rest.subspan(length);
          offset += length;
        }
        break;
      }
      case Kind::WriteDone: answered.push_back(event.of); break;
      case Kind::Flush: covered_by[at] = static_cast<uint32_t>(answered.size()); break;
      case Kind::FlushDone:
        for (uint32_t i = 0; i < covered_by[event.of]; ++i) {
          safe_from_[answered[i]] = std::min(safe_from_[answered[i]], at + 1);
        }
        break;
    }
  }
}

template <typename Choose>
DiskState DiskStates::state(uint32_t cut, const Choose& choose) const {
  DiskState state{cut, {}};
  for (const Fragment& fragment : fragments_) {
    if (fragment.write >= cut) break;
    if (safe_from_[fragment.write] <= cut || choose(fragment)) state.kept.push_back(fragment);
  }
  return state;
}

DiskState DiskStates::everything(uint32_t cut) const {
  return state(cut, [](const Fragment&) { return true; });
}

DiskState DiskStates::flushed(uint32_t cut) const {
  return state(cut, [](const Fragment&) { return false; });
}

std::vector<uint32_t> DiskStates::unsafe_writes(uint32_t cut) const {
  std::vector<uint32_t> writes;
  for (uint32_t at = 0; at < cut; ++at) {
    if (log_[at].kind == Kind::Write && safe_from_[at] > cut) writes.push_back(at);
  }
  return writes;
}

DiskState DiskStates::some(uint32_t cut, std::mt19937_64& random) const {
  const std::vector<uint32_t> writes = unsafe_writes(cut);
  if (writes.empty()) return everything(cut);
  const uint32_t chosen = writes[below(writes.size(), random)];
  static constexpr unsigned kPercents[] = {10, 50, 90};
  const unsigned percent = kPercents[below(3, random)];
  const auto lucky = [&] { return below(100, random) < percent; };
  switch (below(4, random)) {
    case 0: return state(cut, [&](const Fragment&) { return lucky(); });
    case 1: {
      std::vector<bool> keep(cut);
      for (const uint32_t write : writes) keep[write] = lucky();
      return state(cut, [&](const Fragment& fragment) { return keep[fragment.write]; });
    }
    case 2: return state(cut, [&](const Fragment& fragment) { return fragment.write != chosen; });
    default: return state(cut, [&](const Fragment& fragment) { return fragment.write == chosen; });
  }
}

}  // namespace overlayd::test
