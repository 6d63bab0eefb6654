// SPDX-License-Identifier: Apache-2.0
//
// Makes one allocation of this process fail: operator new is replaced in this program. What C
// libraries take from malloc(3) is not touched.
#pragma once

namespace overlayd::test {

/// The `at`-th allocation from now on throws std::bad_alloc, in whatever thread it is; 0: none.
void fail_allocation(long at);

void spare_allocations_of_this_thread();

/// Ends it. True when it has happened.
bool allocation_failed();

}  // namespace overlayd::test
