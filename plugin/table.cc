// SPDX-License-Identifier: Apache-2.0
#include "plugin/table.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <iterator>
#include <ostream>

namespace overlayd {
namespace {

constexpr std::string_view kGap = "  ";
constexpr size_t kLeastWidth = 6;  // of a column that is cut

const char* sequence_for(Style style) {
  switch (style) {
    case Style::Plain: return "";
    case Style::Bold: return "\x1b[1m";
    case Style::Good: return "\x1b[32m";
    case Style::Warning: return "\x1b[33m";
    case Style::Bad: return "\x1b[31m";
  }
  return "";
}

// The byte behind the first `count` code points.
size_t end_of(std::string_view text, size_t count) {
  size_t at = 0;
  while (at < text.size() && count-- > 0) {
    do ++at;
    while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80);
  }
  return at;
}

}  // namespace

std::string styled(std::string_view text, Style style, const Terminal& terminal) {
  if (!terminal.colour || style == Style::Plain || text.empty()) return std::string(text);
  return sequence_for(style) + std::string(text) + "\x1b[0m";
}

size_t columns_of(std::string_view text) {
  return static_cast<size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string cut(std::string_view text, size_t width, const Terminal& terminal) {
  if (columns_of(text) <= width) return std::string(text);
  if (width == 0) return {};
  return std::string(text.substr(0, end_of(text, width - 1))) + (terminal.utf8 ? "…" : "~");
}

// Takes from the widest of those that may be cut, until the whole fits or none of them can give;
// then from any.
std::vector<size_t> Table::widths(const Terminal& terminal) const {
  std::vector<size_t> widths;
  size_t all = kGap.size() * (columns_.size() - 1);
  for (size_t i = 0; i < columns_.size(); ++i) {
    size_t width = columns_of(columns_[i].title);
    for (const auto& row : rows_) width = std::max(width, columns_of(row[i].text));
    widths.push_back(width);
    all += width;
  }
  for (const bool any : {false, true}) {
    while (terminal.width && all > *terminal.width) {
      size_t widest = columns_.size();
      for (size_t i = 0; i < columns_.size(); ++i) {
        if ((!any && !columns_[i].may_be_cut) || widths[i] <= kLeastWidth) continue;
        if (widest == columns_.size() || widths[i] > widths[widest]) widest = i;
      }
      if (widest == columns_.size()) break;
      --widths[widest];
      --all;
    }
  }
  return widths;
}

void Table::print(std::ostream& out, const Terminal& terminal) const {
  const std::vector<size_t> widths = this->widths(terminal);
  const auto print_row = [&](const std::vector<Cell>& row) {
    for (size_t i = 0; i < columns_.size(); ++i) {
      const std::string text = cut(row[i].text.empty() ? "-" : row[i].text, widths[i], terminal);
      const std::string space(widths[i] - std::min(widths[i], columns_of(text)), ' ');
      const bool is_right = columns_[i].align == Align::Right;
      const bool is_last = i + 1 == columns_.size();
      out << (is_right ? space : "") << styled(text, row[i].style, terminal)
          << (is_right || is_last ? "" : space) << (is_last ? "\n" : kGap);
    }
  };
  std::vector<Cell> titles;
  for (const Column& column : columns_) titles.push_back({column.title, Style::Bold});
  print_row(titles);
  for (const auto& row : rows_) print_row(row);
}

std::string size_text(uint64_t bytes) {
  constexpr std::array kUnits = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  // What would be rounded to 1000 is one of the next unit.
  while (value >= 999.5 && unit + 1 < kUnits.size()) {
    value /= 1000;
    ++unit;
  }
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.*f%s", unit > 0 && value < 9.95 ? 1 : 0, value,
                kUnits[unit]);
  return text.data();
}

std::string age_text(std::time_t since, std::time_t now) {
  constexpr std::time_t kMinute = 60, kHour = 60 * kMinute, kDay = 24 * kHour, kYear = 365 * kDay;
  const std::time_t age = std::max<std::time_t>(now - since, 0);
  if (age < kMinute) return std::to_string(age) + "s";
  if (age < kHour) return std::to_string(age / kMinute) + "m";
  if (age < kDay) return std::to_string(age / kHour) + "h";
  if (age < kYear) return std::to_string(age / kDay) + "d";
  return std::to_string(age / kYear) + "y";
}

std::string time_text(std::time_t time) {
  std::tm parts{};
  ::gmtime_r(&time, &parts);
  std::array<char, 64> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text.data();
}

}  // namespace overlayd
