// SPDX-License-Identifier: Apache-2.0
//
// What the machine lets tests do. Detected once per process, by trying.
#pragma once

#include <string>
#include <vector>

namespace overlayd::test {

struct Facilities {
  bool root = false;       ///< effective uid 0
  bool overlayfs = false;  ///< an overlay can be mounted in a mount namespace of our own
};

const Facilities& facilities();

/// Of the comma-separated names "root", "overlayfs" those that are missing; an unknown name counts
/// as missing, so that a typing error cannot turn a requirement off.
std::vector<std::string> missing_facilities(const std::string& names);

}  // namespace overlayd::test
