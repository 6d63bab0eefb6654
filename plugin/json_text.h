// SPDX-License-Identifier: Apache-2.0
//
// Changing JSON that somebody else has written. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace overlayd {

/// The text of a JSON object in which the member `key`, which must be a string, is `value` instead.
/// Every other byte stays: order, spelling of numbers, members that nobody here knows. nullopt when
/// the text is no JSON object, or has no such string.
std::optional<std::string> with_string_member(const std::string& text, std::string_view key,
                                              const std::string& value);

}  // namespace overlayd
