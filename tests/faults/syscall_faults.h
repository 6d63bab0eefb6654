// SPDX-License-Identifier: Apache-2.0
//
// Runs work in a child process and makes one of its system calls fail, or kills it there. By
// ptrace(2): all threads of the child are followed, the call that is to fail is never made.
//
// The work says itself where faults may come: between arm_faults() and disarm_faults(), in any
// thread that has not called spare_this_thread(). Outside of run_with_fault() these do nothing.
#pragma once

#include <functional>
#include <string>

namespace overlayd::test {

void arm_faults();
void disarm_faults();
void spare_this_thread();

struct SyscallFault {
  int errnum = 0;      ///< what the call gives; 0: the process is killed instead, before the call
  long at = 0;         ///< the how-manieth call that can fail so; 0: none
  bool stays = false;  ///< all later calls fail too
};

struct FaultedRun {
  bool hit = false;      ///< there was such a call
  std::string call;      ///< its name
  std::string unlisted;  ///< a call that faultable_calls.h does not know, if one was made
  int status = 0;        ///< of the child, as waitpid(2) tells it
};

/// The caller must have no other thread and no other child that may end meanwhile. `work` must not
/// return by an exception.
FaultedRun run_with_fault(const SyscallFault& fault, const std::function<void()>& work);

}  // namespace overlayd::test
