// SPDX-License-Identifier: Apache-2.0
//
// DiskStates: what may be on a disk when the power goes. Pure.
//
// The assumptions, which are what disks promise: a write that was answered before a flush was
// asked for is there once that flush is answered. Every other write that has arrived may be there
// or not, whatever the order; of one that is longer than a sector, each sector for itself.
// Sectors of 4 KiB, on their own boundaries, are written whole or not at all.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "tests/crash/disk_log.h"

namespace overlayd::test {

inline constexpr uint64_t kSector = 4096;

/// The part of one write that lies in one sector.
struct Fragment {
  uint32_t write;  ///< position in the log
  uint64_t offset;
  std::span<const std::byte> bytes;
};

/// A disk after a power cut: the base image, and these fragments over it in this order.
struct DiskState {
  uint32_t cut;  ///< the power went after so many events
  std::vector<Fragment> kept;

  /// Equal for equal sets of fragments.
  uint64_t hash() const;
};

class DiskStates {
 public:
  /// `log` must outlive this and everything it returns, and not grow any more.
  explicit DiskStates(const DiskLog& log);

  uint32_t cuts() const { return log_.size() + 1; }

  /// Everything that had arrived is there.
  DiskState everything(uint32_t cut) const;
  /// Only what had to be there is.
  DiskState flushed(uint32_t cut) const;
  /// What had to be there, and some of the rest: a few or most sectors, or whole writes, or all but
  /// one, or one alone.
  DiskState some(uint32_t cut, std::mt19937_64& random) const;

 private:
  template <typename Choose>
  DiskState state(uint32_t cut, const Choose& choose) const;
  std::vector<uint32_t> unsafe_writes(uint32_t cut) const;

  const DiskLog& log_;
  std::vector<Fragment> fragments_;  // in the order of the log
  std::vector<uint32_t> safe_from_;  // by position of a write: the first cut that must have it
};

}  // namespace overlayd::test
