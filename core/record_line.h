// SPDX-License-Identifier: Apache-2.0
//
// A line of overlayd's own records: words with a space behind each, and the rest, which may hold
// anything but the line's end. What the records are is in core/layer_digests.h and
// core/store_listing.h. Any thread.
#pragma once

#include <array>
#include <charconv>
#include <concepts>
#include <string>
#include <string_view>
#include <system_error>

#include "core/error.h"

namespace overlayd {

template <std::integral Number>
void append_number(std::string& line, Number number, int base = 10) {
  std::array<char, 24> digits;
  const auto result = std::to_chars(digits.data(), digits.data() + digits.size(), number, base);
  line.append(digits.data(), result.ptr) += ' ';
}

/// The words of a line, from its front. What is not as it should be throws Error(Corrupt, damage).
class RecordLine {
 public:
  RecordLine(std::string_view line, const char* damage) : rest_(line), damage_(damage) {}

  std::string_view word() {
    const size_t end = rest_.find(' ');
    if (end == std::string_view::npos) refuse();
    const std::string_view word = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return word;
  }

  template <std::integral Number>
  Number number(int base = 10) {
    return number_in<Number>(word(), base);
  }

  /// The number that is a word of this line.
  template <std::integral Number>
  Number number_in(std::string_view digits, int base = 10) const {
    Number number = 0;
    const char* const end = digits.data() + digits.size();
    const auto result = std::from_chars(digits.data(), end, number, base);
    if (result.ec != std::errc() || result.ptr != end) refuse();
    return number;
  }

  std::string_view rest() const { return rest_; }

  [[noreturn]] void refuse() const { throw Error(ErrorKind::Corrupt, damage_); }

 private:
  std::string_view rest_;
  const char* damage_;
};

}  // namespace overlayd
