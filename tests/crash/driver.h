// SPDX-License-Identifier: Apache-2.0
//
// Driver: the calls under test, on the driver that is to be judged. A call that returned has
// answered. Any thread may call; errors are thrown.
#pragma once

#include <memory>
#include <string>

#include "core/durability.h"

namespace overlayd::test {

class Driver {
 public:
  virtual ~Driver() = default;
  virtual void create(const std::string& id, const std::string& parent, bool read_write) = 0;
  virtual void apply(const std::string& id, const std::string& parent, const std::string& tar) = 0;
  virtual void remove(const std::string& id) = 0;
};

/// Where both have their home, below the `root` that they are given.
inline constexpr char kHome[] = "/overlay2";

/// overlayd's store, in this process. `state` is its state directory, outside of the disk.
std::unique_ptr<Driver> open_overlayd(const std::string& root, const std::string& state,
                                      Durability durability);

/// Docker's own overlay2 driver, in `program` (tests/crash/docker).
std::unique_ptr<Driver> open_docker(const std::string& root, const std::string& program);

}  // namespace overlayd::test
