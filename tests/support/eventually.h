// SPDX-License-Identifier: Apache-2.0
//
// For what a thread of the store's own brings about.
#pragma once

#include <functional>

namespace overlayd::test {

/// True as soon as `condition` is; false when it is not within ten seconds.
bool eventually(const std::function<bool()>& condition);

}  // namespace overlayd::test
