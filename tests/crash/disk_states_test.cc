// SPDX-License-Identifier: Apache-2.0
#include "tests/crash/disk_states.h"

#include <algorithm>
#include <set>
#include <string>

#include <doctest/doctest.h>

#include "core/stream.h"

namespace overlayd::test {
namespace {

/// A log of writes of one sector each, by the sector's number.
class Disk {
 public:
  uint32_t write(uint64_t sector) {
    return log.append_write(sector * kSector, as_bytes(std::string(kSector, 'x')));
  }
  uint32_t flush() { return log.append_flush(); }
  void done(uint32_t of) { log.append_done(of); }

  DiskLog log;
};

std::set<uint64_t> sectors(const DiskState& state) {
  std::set<uint64_t> numbers;
  for (const Fragment& fragment : state.kept) numbers.insert(fragment.offset / kSector);
  return numbers;
}

using Sectors = std::set<uint64_t>;

TEST_CASE("a flush that was answered keeps the writes that were answered before it was asked for") {
  Disk disk;
  disk.done(disk.write(1));
  disk.done(disk.write(2));
  disk.done(disk.flush());
  const DiskStates states(disk.log);
  CHECK(sectors(states.flushed(states.cuts() - 1)) == Sectors{1, 2});
}

TEST_CASE("a flush that was not answered keeps nothing") {
  Disk disk;
  disk.done(disk.write(1));
  disk.flush();
  const DiskStates states(disk.log);
  CHECK(sectors(states.flushed(states.cuts() - 1)).empty());
  CHECK(sectors(states.everything(states.cuts() - 1)) == Sectors{1});
}

TEST_CASE("a flush does not keep a write that was still under way when it was asked for") {
  Disk disk;
  const uint32_t slow = disk.write(1);
  const uint32_t flush = disk.flush();
  disk.done(slow);
  disk.done(flush);
  const DiskStates states(disk.log);
  CHECK(sectors(states.flushed(states.cuts() - 1)).empty());
}

TEST_CASE("a cut loses what comes after it, and the promise of a flush answered after it") {
  Disk disk;
  disk.done(disk.write(1));
  disk.done(disk.flush());
  disk.done(disk.write(2));
  const DiskStates states(disk.log);
  CHECK(sectors(states.everything(0)).empty());
  CHECK(sectors(states.flushed(3)).empty());
  CHECK(sectors(states.flushed(4)) == Sectors{1});
  CHECK(sectors(states.everything(4)) == Sectors{1});
  CHECK(sectors(states.everything(5)) == Sectors{1, 2});
}

TEST_CASE("a write is torn at the borders of sectors only") {
  Disk disk;
  disk.log.append_write(kSector - 100, as_bytes(std::string(kSector + 200, 'x')));
  const DiskState state = DiskStates(disk.log).everything(1);
  REQUIRE(state.kept.size() == 3);
  CHECK(state.kept[0].offset == kSector - 100);
  CHECK(state.kept[0].bytes.size() == 100);
  CHECK(state.kept[1].offset == kSector);
  CHECK(state.kept[1].bytes.size() == kSector);
  CHECK(state.kept[2].offset == 2 * kSector);
  CHECK(state.kept[2].bytes.size() == 100);
}

TEST_CASE("random states have all that was flushed, and all sets of the rest come up") {
  Disk disk;
  disk.done(disk.write(0));
  disk.done(disk.flush());
  for (uint64_t sector = 1; sector <= 3; ++sector) disk.done(disk.write(sector));
  const DiskStates states(disk.log);
  std::mt19937_64 random(1);
  std::set<Sectors> seen;
  std::set<uint64_t> hashes;
  for (int i = 0; i < 1000; ++i) {
    const DiskState state = states.some(states.cuts() - 1, random);
    CHECK(sectors(state).contains(0));
    seen.insert(sectors(state));
    hashes.insert(state.hash());
  }
  CHECK(seen.size() == 8);
  CHECK(hashes.size() == seen.size());
}

TEST_CASE("what was written twice is there in the order of the log") {
  Disk disk;
  const uint32_t first = disk.write(1), second = disk.write(1);
  const DiskState state = DiskStates(disk.log).everything(2);
  REQUIRE(state.kept.size() == 2);
  CHECK(state.kept[0].write == first);
  CHECK(state.kept[1].write == second);
}

}  // namespace
}  // namespace overlayd::test
