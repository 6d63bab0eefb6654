// SPDX-License-Identifier: Apache-2.0
//
// POSIX ACLs as raw xattr values (system.posix_acl_access, system.posix_acl_default): named users
// and groups in them are ids and go through the id maps like owners. Format:
// <linux/posix_acl_xattr.h>, version 2, little-endian. Pure functions.
#pragma once

#include <string>
#include <string_view>

#include "core/id_map.h"

namespace overlayd::acl {

inline constexpr char kAccessXattr[] = "system.posix_acl_access";
inline constexpr char kDefaultXattr[] = "system.posix_acl_default";

inline bool is_acl(std::string_view attribute) {
  return attribute == kAccessXattr || attribute == kDefaultXattr;
}

/// Between what is on disk and what a tar carries. Error(InvalidArgument) for an id outside the map
/// or a value that is no ACL.
std::string for_tar(std::string_view value, const IdMaps& maps);
std::string for_disk(std::string_view value, const IdMaps& maps);

}  // namespace overlayd::acl
