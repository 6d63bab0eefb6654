// SPDX-License-Identifier: Apache-2.0
#include "plugin/table.h"

#include <cstdlib>
#include <sstream>
#include <string>

#include <doctest/doctest.h>

namespace overlayd {
namespace {

Table example() {
  Table table({{.title = "ID", .may_be_cut = true},
               {.title = "SIZE", .align = Table::Align::Right},
               {.title = "NAMES", .may_be_cut = true}});
  table.add({{"abcdef"}, {"1B"}, {"one"}});
  table.add({{"bé"}, {"1.0kB", Style::Bad}, {""}});
  return table;
}

std::string printed(const Table& table, const Terminal& terminal) {
  std::ostringstream out;
  table.print(out, terminal);
  return out.str();
}

size_t widest_line(const std::string& text) {
  std::istringstream lines(text);
  size_t widest = 0;
  for (std::string line; std::getline(lines, line);) widest = std::max(widest, columns_of(line));
  return widest;
}

TEST_SUITE("table") {
  TEST_CASE("columns are as wide as they must be, and nothing is behind the last") {
    CHECK(printed(example(), {}) ==
          "ID       SIZE  NAMES\n"
          "abcdef     1B  one\n"
          "bé      1.0kB  -\n");
  }

  TEST_CASE("colours are only where there are some, and take no room") {
    CHECK(printed(example(), {.width = 80, .colour = true}) ==
          "\x1b[1mID\x1b[0m       \x1b[1mSIZE\x1b[0m  \x1b[1mNAMES\x1b[0m\n"
          "abcdef     1B  one\n"
          "bé      \x1b[31m1.0kB\x1b[0m  -\n");
  }

  TEST_CASE("what does not fit the terminal is cut where it may be, then anywhere") {
    Table table({{.title = "ID"}, {.title = "NAMES", .may_be_cut = true}});
    table.add({{"0123456789"}, {"abcdefghijklmnop"}});
    CHECK(printed(table, {.width = 28}) == "ID          NAMES\n0123456789  abcdefghijklmnop\n");
    CHECK(printed(table, {.width = 20, .utf8 = true}) ==
          "ID          NAMES\n0123456789  abcdefg…\n");
    CHECK(printed(table, {.width = 20}) == "ID          NAMES\n0123456789  abcdefg~\n");
    CHECK(printed(table, {.width = 16}) == "ID        NAMES\n0123456~  abcde~\n");
    for (size_t width = 14; width < 40; ++width) {
      CHECK(widest_line(printed(table, {.width = width})) <= width);
    }
  }

  TEST_CASE("text is cut between characters, not within") {
    const Terminal terminal{.utf8 = true};
    CHECK(cut("äöü", 3, terminal) == "äöü");
    CHECK(cut("äöü", 2, terminal) == "ä…");
    CHECK(cut("äöü", 1, terminal) == "…");
    CHECK(cut("äöü", 0, terminal).empty());
  }

  TEST_CASE("sizes have two digits at least, and no thousand of a unit") {
    CHECK(size_text(0) == "0B");
    CHECK(size_text(999) == "999B");
    CHECK(size_text(1'000) == "1.0kB");
    CHECK(size_text(9'940) == "9.9kB");
    CHECK(size_text(9'960) == "10kB");
    CHECK(size_text(999'400) == "999kB");
    CHECK(size_text(999'600) == "1.0MB");
    CHECK(size_text(UINT64_MAX) == "18EB");
  }

  TEST_CASE("ages have one unit, and nothing is younger than now") {
    CHECK(age_text(100, 90) == "0s");
    CHECK(age_text(0, 59) == "59s");
    CHECK(age_text(0, 60) == "1m");
    CHECK(age_text(0, 24 * 3600 - 1) == "23h");
    CHECK(age_text(0, 365 * 24 * 3600 - 1) == "364d");
    CHECK(age_text(0, 365 * 24 * 3600) == "1y");
    CHECK(time_text(981'173'106) == "2001-02-03T04:05:06Z");
  }

  TEST_CASE("what is no terminal has neither width nor colour, and the locale tells of UTF-8") {
    ::setenv("LC_ALL", "de_DE.UTF-8", 1);
    const Terminal terminal = look_at_terminal(-1);
    CHECK(!terminal.width);
    CHECK(!terminal.colour);
    CHECK(terminal.utf8);
    ::setenv("LC_ALL", "C", 1);
    CHECK(!look_at_terminal(-1).utf8);
    ::unsetenv("LC_ALL");
  }
}

}  // namespace
}  // namespace overlayd
