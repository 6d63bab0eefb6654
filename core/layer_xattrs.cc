// SPDX-License-Identifier: Apache-2.0
#include "core/layer_xattrs.h"

#include "core/acl.h"
#include "core/capability.h"

namespace overlayd {

bool is_carried_xattr(std::string_view name) {
  return name == capability::kXattr || acl::is_acl(name) ||
         (name.starts_with("user.") && !is_overlay_xattr(name));
}

bool is_overlay_xattr(std::string_view name) {
  return name.starts_with("trusted.overlay.") || name.starts_with("user.overlay.");
}

std::string xattr_for_tar(std::string_view name, const std::string& value, const IdMaps& maps) {
  if (name == capability::kXattr) return capability::for_tar(value);
  if (acl::is_acl(name)) return acl::for_tar(value, maps);
  return value;
}

std::string xattr_for_disk(std::string_view name, const std::string& value, const IdMaps& maps) {
  if (name == capability::kXattr) return capability::for_disk(value, maps.root_uid());
  if (acl::is_acl(name)) return acl::for_disk(value, maps);
  return value;
}

}  // namespace overlayd
