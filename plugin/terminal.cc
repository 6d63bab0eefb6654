// SPDX-License-Identifier: Apache-2.0
#include "plugin/terminal.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace overlayd {
namespace {

constexpr size_t kUsualWidth = 80;

// What is set, and to something.
std::string_view variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string_view() : value;
}

bool locale_is_utf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const std::string_view locale = variable(name);
    if (locale.empty()) continue;
    return ::strcasestr(locale.data(), "utf-8") != nullptr ||
           ::strcasestr(locale.data(), "utf8") != nullptr;
  }
  return false;
}

size_t width_of(int fd) {
  winsize size{};
  return ::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kUsualWidth;
}

}  // namespace

Terminal look_at_terminal(int fd) {
  Terminal terminal{.width = std::nullopt, .colour = false, .utf8 = locale_is_utf8()};
  if (::isatty(fd) != 1) return terminal;
  terminal.width = width_of(fd);
  terminal.colour = variable("NO_COLOR").empty() && variable("TERM") != "dumb";
  return terminal;
}

}  // namespace overlayd
