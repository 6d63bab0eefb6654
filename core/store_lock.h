// SPDX-License-Identifier: Apache-2.0
//
// The lock that says which process serves a store (core/layout.h, `.overlayd/lock`). Any thread.
#pragma once

#include "core/unique_fd.h"

namespace overlayd {

/// Takes it, for as long as the descriptor is open. Error(Busy) when another process has it.
UniqueFd lock_store(int home);

/// Whether some process has it now. Changes nothing, and keeps nobody from taking it.
bool is_store_served(int home);

}  // namespace overlayd
