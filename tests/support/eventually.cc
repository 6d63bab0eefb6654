// SPDX-License-Identifier: Apache-2.0
#include "tests/support/eventually.h"

#include <chrono>
#include <thread>

namespace overlayd::test {

bool eventually(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace overlayd::test
