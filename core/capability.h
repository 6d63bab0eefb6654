// SPDX-License-Identifier: Apache-2.0
//
// The value of the xattr security.capability, in the two revisions of <linux/capability.h>: 2 (20
// bytes) is what layer tars carry; 3 (24 bytes) adds the host uid of the user namespace's root and
// is what a remapped container honours on disk. Pure functions on raw xattr values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace overlayd::capability {

inline constexpr char kXattr[] = "security.capability";

/// Revision 3 becomes revision 2 by dropping the root uid; anything else is returned as it is.
std::string for_tar(std::string_view value);

/// Revision 2 becomes revision 3 for `root_uid` when that is not 0; anything else is returned as it
/// is.
std::string for_disk(std::string_view value, uint32_t root_uid);

}  // namespace overlayd::capability
