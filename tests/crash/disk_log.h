// SPDX-License-Identifier: Apache-2.0
//
// DiskLog: everything a file system asked of a disk, in the order in which it happened. It lies in
// memory that a forked recorder and the explorer share: one process appends, another may read at
// the same time what is counted already.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

namespace overlayd::test {

/// One step. A request has two: it arrives, and later it is answered. What the file system knows to
/// be done is only what was answered.
struct DiskEvent {
  enum class Kind : uint32_t { Write, WriteDone, Flush, FlushDone };
  Kind kind;
  uint32_t of;      ///< WriteDone, FlushDone: the position of the request that is answered
  uint64_t offset;  ///< Write: where on the disk
  uint64_t length;
  uint64_t data;  ///< Write: where its bytes are; see DiskLog::bytes
};

class DiskLog {
 public:
  DiskLog();
  ~DiskLog();
  DiskLog(const DiskLog&) = delete;
  DiskLog& operator=(const DiskLog&) = delete;

  /// The position of the new event. Throws Error(NoSpace) when the log is full.
  uint32_t append_write(uint64_t offset, std::span<const std::byte> bytes);
  uint32_t append_flush();
  void append_done(uint32_t of);

  /// How many events there are: the position that the next one gets.
  uint32_t size() const;
  const DiskEvent& operator[](uint32_t position) const;
  std::span<const std::byte> bytes(const DiskEvent& write) const;

 private:
  struct Shared;
  uint32_t append(const DiskEvent& event);

  Shared* shared_;
};

}  // namespace overlayd::test
