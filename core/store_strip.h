// SPDX-License-Identifier: Apache-2.0
//
// Making a store Docker's own driver's again.
#pragma once

namespace overlayd {

/// Removes all that core/layout.h calls overlayd's, and files that were never finished, from the
/// store in the open directory `home`: what is left is what Docker's own driver makes. An ApplyDiff
/// that did not finish leaves an empty layer. The caller holds the store's lock, or knows that
/// nobody serves it; done again after a kill it goes on. SysError: some of it may be left.
void strip_store(int home);

}  // namespace overlayd
