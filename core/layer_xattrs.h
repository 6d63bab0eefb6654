// SPDX-License-Identifier: Apache-2.0
//
// Which extended attributes a layer carries, and how their values differ between a tar and the
// disk. The one place that knows; both directions use it. Pure functions.
#pragma once

#include <string>
#include <string_view>

#include "core/id_map.h"

namespace overlayd {

/// What a Diff takes along: file capabilities, as Docker does; POSIX ACLs, which are part of who
/// may do what; and user.*, which programs put on files, but not user.overlay.*, overlayfs's own in
/// a user namespace.
bool is_carried_xattr(std::string_view name);

/// overlayfs's own, which say things about other layers: they may not come from a tar.
bool is_overlay_xattr(std::string_view name);

/// Errors as of core/acl.h.
std::string xattr_for_tar(std::string_view name, const std::string& value, const IdMaps& maps);
std::string xattr_for_disk(std::string_view name, const std::string& value, const IdMaps& maps);

}  // namespace overlayd
