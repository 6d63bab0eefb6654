// SPDX-License-Identifier: Apache-2.0
//
// `overlayd check`: what core/store_check.h finds, for people or as JSON. docs/check.md.
#pragma once

#include <iosfwd>

#include "plugin/options.h"

namespace overlayd {

/// Returns the exit status: 0 no damage (any more), 1 damage, 2 could not check. `show_progress`:
/// `err` is a terminal.
int run_check(const CheckOptions& options, std::ostream& out, std::ostream& err,
              bool show_progress = false);

}  // namespace overlayd
