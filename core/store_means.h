// SPDX-License-Identifier: Apache-2.0
//
// What a store would be served with, found out without writing to it. Any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "core/commit.h"
#include "core/mount_method.h"

namespace overlayd {

struct StoreMeans {
  std::string filesystem;  ///< Docker's name for it
  uint64_t bytes = 0, free_bytes = 0;
  uint64_t inodes = 0, free_inodes = 0;     ///< all 0 where the file system has no such limit
  CommitChoice commit;                      ///< of durability `strict`
  std::optional<MountMethod> mount_method;  ///< what `auto` takes
  std::string mount_reason;                 ///< why that is not known
  std::string quota_obstacle;               ///< why layers cannot be limited; empty: they can
};

/// Throws SysError when the file system cannot be asked.
StoreMeans find_store_means(const std::filesystem::path& home);

}  // namespace overlayd
