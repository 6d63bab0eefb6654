// SPDX-License-Identifier: Apache-2.0
#include "core/whiteout.h"

#include <sys/sysmacros.h>

#include <algorithm>

#include "core/error.h"

namespace overlayd::whiteout {

Marker parse_marker(std::string_view component) {
  if (!component.starts_with(kPrefix)) return {};
  if (component == kOpaqueMarker) return {MarkerKind::Opaque, {}};
  if (component.starts_with(kMetaPrefix)) return {MarkerKind::AufsOwn, {}};
  const std::string_view name = component.substr(kPrefix.size());
  if (name.empty() || name == "." || name == "..") return {MarkerKind::Malformed, {}};
  return {MarkerKind::Deleted, name};
}

std::string marker_for(std::string_view name) { return std::string(kPrefix).append(name); }

void make(int dirfd, const std::string& name) {
  if (::mknodat(dirfd, name.c_str(), S_IFCHR, makedev(0, 0)) != 0) {
    throw_errno("make a whiteout for", name);
  }
}

void set_opaque(xattr::At directory) { xattr::set(directory, kOpaqueXattr, "y"); }

bool is_opaque(xattr::At directory) {
  // One call tells about all attributes.
  return is_opaque(directory, xattr::list(directory));
}

bool is_opaque(xattr::At directory, const std::vector<std::string>& xattrs) {
  const auto has = [&](const char* name) {
    return std::ranges::find(xattrs, name) != xattrs.end();
  };
  if (has(kRedirectXattr)) {
    throw Error(
        ErrorKind::Unsupported,
        "directory " + quoted(directory.name) +
            " was renamed under overlay's redirect_dir=on; its content cannot be told from the "
            "layer alone");
  }
  if (!has(kOpaqueXattr)) return false;
  // "x" (Linux 6.7) only announces xattr-style whiteouts inside; it hides nothing.
  return xattr::get(directory, kOpaqueXattr) == "y";
}

}  // namespace overlayd::whiteout
