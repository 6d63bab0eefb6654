// SPDX-License-Identifier: Apache-2.0
//
// `overlayd adopt` and `overlayd release`: moves between drivers, for people.
#pragma once

#include <iosfwd>

#include "plugin/move_plan.h"

namespace overlayd {

/// Says on `out` what it has done or, for a dry run, would do. Exit status: 0 done, 1 refused and
/// nothing was changed, 2 could not look, or was interrupted by an error and is to be run again.
int run_move(const MoveOptions& options, std::ostream& out, std::ostream& err);

}  // namespace overlayd
