// SPDX-License-Identifier: Apache-2.0
//
// Change: one line of `docker diff`. Plain value.
#pragma once

#include <string>

namespace overlayd {

/// The numbers are the plugin protocol's.
enum class ChangeKind { Modify = 0, Add = 1, Delete = 2 };

struct Change {
  std::string path;  ///< absolute inside the layer: "/etc/passwd"; raw bytes, not necessarily UTF-8
  ChangeKind kind = ChangeKind::Modify;
  bool operator==(const Change&) const = default;
};

}  // namespace overlayd
