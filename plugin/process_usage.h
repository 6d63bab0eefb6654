// SPDX-License-Identifier: Apache-2.0
//
// What this process takes of the machine.
#pragma once

#include <cstddef>

namespace overlayd {

/// 0 for what cannot be found out.
struct ProcessUsage {
  double cpu_seconds = 0;
  size_t resident_bytes = 0;
  size_t open_fds = 0;
  size_t max_fds = 0;
  size_t threads = 0;
};

/// Any thread.
ProcessUsage process_usage();

}  // namespace overlayd
