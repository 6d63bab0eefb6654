// SPDX-License-Identifier: Apache-2.0
//
// Which system calls a fault is put into. Every call that the store makes is in one of two lists:
// those that can fail for reasons outside the program, and those that are left alone. One that is
// in neither fails the test, so that none is forgotten.
#pragma once

#include <cstdint>
#include <string>

namespace overlayd::test {

enum class CallKind {
  Unlisted,      ///< nobody has thought about it yet
  LeftAlone,     ///< memory, threads' waiting, identity; and close(2), which has closed whatever it
                 ///< says
  CanFail,       ///< with any errno but EINTR
  Interruptible  ///< with EINTR as well, by its man page
};

CallKind kind_of_call(uint64_t number);

/// "openat"; the number where there is no name here.
std::string name_of_call(uint64_t number);

}  // namespace overlayd::test
