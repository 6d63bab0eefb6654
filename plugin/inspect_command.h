// SPDX-License-Identifier: Apache-2.0
//
// `overlayd ls`, `tree`, `show`, `du` and `status`: what core/store_view.h sees, for people or as
// JSON. docs/inside.md.
#pragma once

#include <iosfwd>

#include "plugin/options.h"
#include "plugin/terminal.h"

namespace overlayd {

/// Returns the exit status: 0 done, 1 there is damage (status) or something that cannot be read
/// (du), 2 could not look, or there is no such layer (show). `terminal` is what `out` is;
/// `show_progress`: `err` is a terminal.
int run_inspect(const InspectOptions& options, std::ostream& out, std::ostream& err,
                const Terminal& terminal, bool show_progress = false);

}  // namespace overlayd
