// SPDX-License-Identifier: Apache-2.0
//
// Confinement: running work on untrusted bytes with no more rights than it needs. The kernel then
// holds what the code only promises: whatever goes wrong in parsing or extracting, nothing outside
// one directory can be opened, made, linked or removed. Why a thread and not a process:
// docs/decisions. landlock(7), Linux 5.13; capabilities(7).
#pragma once

#include <functional>

namespace overlayd {

enum class Confinement {
  Landlocked,  ///< file system access confined by the kernel, capabilities dropped
  CapsOnly,    ///< this kernel has no Landlock, or has it switched off; capabilities dropped
};

/// What run_confined will do on this kernel. Cheap; any thread.
Confinement available_confinement();

/// Runs `work` in a thread of its own that may make, change and remove files only below the
/// directory `root`, read files only there and below `readable`, a directory too (open files work
/// as before), has only the capabilities that extracting a layer takes and a umask of 0; waits for
/// it. Threads that `work` starts are confined as well. An exception leaving `work` is rethrown
/// here. Throws SysError if a right cannot be given up: work then has not begun. Costs about as
/// much as the thread. Any thread.
void run_confined(int root, int readable, const std::function<void()>& work);

}  // namespace overlayd
