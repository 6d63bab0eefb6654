// SPDX-License-Identifier: Apache-2.0
//
// Change: one line of `docker diff`. Plain value.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace overlayd {

/// The numbers are the plugin protocol's.
enum class ChangeKind { Modify = 0, Add = 1, Delete = 2 };

struct Change {
  std::string path;  ///< absolute inside the layer: "/etc/passwd"; raw bytes, not necessarily UTF-8
  ChangeKind kind = ChangeKind::Modify;
  bool operator==(const Change&) const = default;
};

/// Takes the members of a Change, one at a time. The path is good for the duration of the call.
using ChangeSink = std::function<void(std::string_view path, ChangeKind kind)>;

}  // namespace overlayd
