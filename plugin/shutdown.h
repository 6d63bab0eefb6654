// SPDX-License-Identifier: Apache-2.0
//
// StopSignals: SIGTERM and SIGINT as something to wait for rather than an interruption.
#pragma once

namespace overlayd {

class StopSignals {
 public:
  /// Blocks the two signals in the calling thread and all it starts later, so make it before any
  /// thread. SIGPIPE is ignored from here on: a client that goes away is an error of its call.
  StopSignals();

  /// Returns the number of the first one to arrive, and lets a second one end the process at once.
  int wait();
};

}  // namespace overlayd
