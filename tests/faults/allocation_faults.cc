// SPDX-License-Identifier: Apache-2.0
#include "tests/faults/allocation_faults.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

// What is left until the one that fails; at rest far below zero.
constexpr long kNever = -1'000'000'000;
std::atomic<long> left = kNever;
thread_local bool spared = false;

void* allocate(std::size_t size) {
  if (left.load(std::memory_order_relaxed) > 0 && !spared && left.fetch_sub(1) == 1) {
    throw std::bad_alloc();
  }
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}

}  // namespace

// The other forms call these.
void* operator new(std::size_t size) { return allocate(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace overlayd::test {

void fail_allocation(long at) { left = at > 0 ? at : kNever; }

void spare_allocations_of_this_thread() { spared = true; }

bool allocation_failed() { return left.exchange(kNever) == 0; }

}  // namespace overlayd::test
