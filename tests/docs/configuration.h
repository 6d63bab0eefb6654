// SPDX-License-Identifier: Apache-2.0
//
// The tables of docs/configuration.md, made of what the program parses: plugin/options.h and
// core/store_options.h. Pure.
#pragma once

#include <string>

namespace overlayd {

/// `page` with the tables as they should be between its two marks; the rest is written by hand.
/// Throws Error(InvalidArgument) if it has no marks.
std::string with_tables(const std::string& page);

}  // namespace overlayd
