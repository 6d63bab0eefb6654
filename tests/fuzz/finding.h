// SPDX-License-Identifier: Apache-2.0
//
// How a fuzz target says that the code under test broke a promise: text on stderr, then abort(),
// at which libFuzzer keeps the input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/error.h"

namespace overlayd::fuzz {

[[noreturn]] void finding(const std::string& what);

inline void check(bool holds, const char* promise) {
  if (!holds) finding(promise);
}

/// "kind: message".
std::string describe(const Error& error);

inline std::string_view as_text(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace overlayd::fuzz
