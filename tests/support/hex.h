// SPDX-License-Identifier: Apache-2.0
//
// Bytes as text, for programs that compare what they read with what another language read.
#pragma once

#include <string>
#include <string_view>

namespace overlayd::test {

/// Two lower-case digits a byte.
inline std::string hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const char byte : bytes) {
    const auto value = static_cast<unsigned char>(byte);
    out += {kDigits[value >> 4], kDigits[value & 15]};
  }
  return out;
}

}  // namespace overlayd::test
