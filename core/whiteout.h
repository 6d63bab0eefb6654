// SPDX-License-Identifier: Apache-2.0
//
// Whiteouts: how a layer says "what lies below is gone", in its two spellings.
//
//                          in a layer tar (aufs style)      on disk (overlayfs)
//   a deleted name         empty file ".wh.<name>"          character device 0:0 called <name>
//   an opaque directory    empty file ".wh..wh..opq" in it  xattr trusted.overlay.opaque = "y" on
//   it aufs's own leftovers   ".wh..wh.<anything else>"        (dropped)
//
// Sources: the OCI image specification's layer chapter for the tar side, Documentation/filesystems/
// overlayfs.rst for the disk side. Pure functions and single calls; any thread.
#pragma once

#include <sys/stat.h>

#include <string>
#include <string_view>
#include <vector>

#include "core/xattr.h"

namespace overlayd::whiteout {

inline constexpr std::string_view kPrefix = ".wh.";
inline constexpr std::string_view kMetaPrefix = ".wh..wh.";
inline constexpr std::string_view kOpaqueMarker = ".wh..wh..opq";

inline constexpr char kOpaqueXattr[] = "trusted.overlay.opaque";
inline constexpr char kRedirectXattr[] = "trusted.overlay.redirect";
inline constexpr char kMetacopyXattr[] = "trusted.overlay.metacopy";

enum class MarkerKind {
  None,       ///< an ordinary name
  Deleted,    ///< ".wh.<name>": `name` is gone
  Opaque,     ///< the directory that holds the marker is opaque
  AufsOwn,    ///< aufs bookkeeping, not part of the content
  Malformed,  ///< ".wh." followed by nothing, "." or ".."
};

struct Marker {
  MarkerKind kind = MarkerKind::None;
  std::string_view name;  ///< of the deleted entry; a part of the argument of parse_marker
};

/// Reads one path component of a tar.
Marker parse_marker(std::string_view component);

/// ".wh.<name>".
std::string marker_for(std::string_view name);

inline bool is_whiteout(const struct stat& info) {
  return S_ISCHR(info.st_mode) && info.st_rdev == 0;
}

/// A whiteout device at `name` below `dirfd`; nothing of that name may exist.
void make(int dirfd, const std::string& name);

void set_opaque(xattr::At directory);

/// What a directory of a layer says about itself. Throws Error(Unsupported) for a directory that
/// was renamed under redirect_dir=on: its content lies elsewhere, and native diffs would lose it.
bool is_opaque(xattr::At directory);
/// The same for who has its list of attributes, which nearly every directory has none of.
bool is_opaque(xattr::At directory, const std::vector<std::string>& xattrs);

}  // namespace overlayd::whiteout
