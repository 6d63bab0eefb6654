// SPDX-License-Identifier: Apache-2.0
//
// What an output can show. Plain value.
#pragma once

#include <cstddef>
#include <optional>

namespace overlayd {

struct Terminal {
  std::optional<size_t> width =
      std::nullopt;  ///< in columns; nullopt: no terminal, lines may have any length
  bool colour = false;
  bool utf8 = false;
};

/// Asks the terminal that is open as `fd`, if it is one, and the environment: NO_COLOR and TERM,
/// LC_ALL, LC_CTYPE and LANG.
Terminal look_at_terminal(int fd);

}  // namespace overlayd
