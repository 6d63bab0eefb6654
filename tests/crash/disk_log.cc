// SPDX-License-Identifier: Apache-2.0
#include "tests/crash/disk_log.h"

#include <sys/mman.h>

#include <algorithm>

#include "core/error.h"

namespace overlayd::test {

struct DiskLog::Shared {
  static constexpr size_t kMaxEvents = size_t{1} << 18;
  static constexpr size_t kMaxBytes = size_t{1} << 30;  // only what is used takes memory

  std::atomic<uint32_t> size;
  uint64_t used;
  DiskEvent events[kMaxEvents];
  std::byte bytes[kMaxBytes];
};

DiskLog::DiskLog() {
  void* memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw_errno("map", "the log of the disk");
  shared_ = static_cast<Shared*>(memory);
}

DiskLog::~DiskLog() { ::munmap(shared_, sizeof(Shared)); }

uint32_t DiskLog::append(const DiskEvent& event) {
  const uint32_t position = shared_->size.load();
  if (position == Shared::kMaxEvents)
    throw Error(ErrorKind::NoSpace, "the log of the disk is full");
  shared_->events[position] = event;
  shared_->size.store(position + 1);
  return position;
}

uint32_t DiskLog::append_write(uint64_t offset, std::span<const std::byte> bytes) {
  if (bytes.size() > Shared::kMaxBytes - shared_->used) {
    throw Error(ErrorKind::NoSpace, "the log of the disk is full");
  }
  std::copy(bytes.begin(), bytes.end(), shared_->bytes + shared_->used);
  const DiskEvent event{DiskEvent::Kind::Write, 0, offset, bytes.size(), shared_->used};
  shared_->used += bytes.size();
  return append(event);
}

uint32_t DiskLog::append_flush() { return append({DiskEvent::Kind::Flush, 0, 0, 0, 0}); }

void DiskLog::append_done(uint32_t of) {
  const bool write = (*this)[of].kind == DiskEvent::Kind::Write;
  append({write ? DiskEvent::Kind::WriteDone : DiskEvent::Kind::FlushDone, of, 0, 0, 0});
}

uint32_t DiskLog::size() const { return shared_->size.load(); }

const DiskEvent& DiskLog::operator[](uint32_t position) const { return shared_->events[position]; }

std::span<const std::byte> DiskLog::bytes(const DiskEvent& write) const {
  return {shared_->bytes + write.data, write.length};
}

}  // namespace overlayd::test
