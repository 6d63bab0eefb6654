// SPDX-License-Identifier: Apache-2.0
//
// Explorer: records workloads, makes the disks that a power cut may leave of each, and judges what
// a store makes of them.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "tests/crash/checker.h"

namespace overlayd::test {

struct ExplorerOptions {
  std::string scratch;  ///< an empty tmpfs in a mount namespace of the caller's own
  FileSystem file_system = FileSystem::Ext4;
  Durability durability = Durability::Strict;
  std::string docker;      ///< the program of Docker's driver, or empty: overlayd is judged
  uint64_t images = 1000;  ///< to look at, about
  uint64_t seed = 1;
  unsigned jobs = 2;  ///< processes that do it
};

/// How many; kept in memory that several processes share.
struct Counts {
  uint64_t recordings;
  uint64_t images;
  uint64_t bad_images;
  std::array<uint64_t, Violation::kKinds> violations;
};

/// Says what the first few violations are, and where they are to be found, on standard output.
/// Throws when it cannot do its work.
Counts explore(const ExplorerOptions& options);

}  // namespace overlayd::test
