// SPDX-License-Identifier: Apache-2.0
//
// Table: text in columns, for a terminal or for other programs: cells hold no blanks of their own
// but in the last column, so that `awk` can take a line apart.
//
//   LAYER         KIND    SIZE  USED BY
//   9f3c1a2b4d5e  image  4.2MB  busybox:latest
#pragma once

#include <cstdint>
#include <ctime>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

#include "plugin/terminal.h"

namespace overlayd {

enum class Style { Plain, Bold, Good, Warning, Bad };

class Table {
 public:
  enum class Align { Left, Right };
  struct Column {
    std::string title;
    Align align = Align::Left;
    bool may_be_cut = false;  ///< before others are, if the terminal is too narrow
  };
  struct Cell {
    std::string text;  ///< "-" is shown for none
    Style style = Style::Plain;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  /// As many cells as there are columns.
  void add(std::vector<Cell> row) { rows_.push_back(std::move(row)); }

  void print(std::ostream& out, const Terminal& terminal) const;

 private:
  std::vector<size_t> widths(const Terminal& terminal) const;

  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

/// `text` in that style, where there are colours.
std::string styled(std::string_view text, Style style, const Terminal& terminal);

/// How many columns printable text takes (every code point is taken for one).
size_t columns_of(std::string_view text);
/// No more than `width` columns of it, with a mark at the end if something is missing.
std::string cut(std::string_view text, size_t width, const Terminal& terminal);

/// "0B", "999B", "1.2kB", "34MB": two digits at least, powers of a thousand.
std::string size_text(uint64_t bytes);
/// "59s", "59m", "23h", "364d", "4y".
std::string age_text(std::time_t since, std::time_t now);
/// "2024-05-31T12:00:00Z".
std::string time_text(std::time_t time);

}  // namespace overlayd
