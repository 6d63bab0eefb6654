// SPDX-License-Identifier: Apache-2.0
//
// TarPlace: where in a layer the name of a tar member is. Judged by the name alone: what is a
// symlink on the way is core/layer_directories.h. Pure functions; any thread.
#pragma once

#include <string>

namespace overlayd {

/// A member's name, taken apart: "./usr//bin/x/" is {"usr/bin", "x"}; both empty for the root
/// itself.
struct TarPlace {
  std::string parent;
  std::string name;

  std::string path() const { return parent.empty() ? name : parent + "/" + name; }
};

/// Cleans lexically, as Go's path.Clean does after a leading '/' is dropped. Throws
/// Error(BadArchive) for what would climb out of the layer; `what` it is, for the message.
TarPlace place_in_layer(const std::string& tar_name, const char* what);

/// Below a directory that is named like a whiteout. On disk it could not be told in a tar again.
bool is_below_marker(const TarPlace& place);

/// aufs kept the data of hard-linked files here; members elsewhere in the tar link to it.
inline constexpr char kAufsLinks[] = ".wh..wh.plnk";

/// Whether aufs kept it for itself.
bool is_aufs_bookkeeping(const TarPlace& place);

}  // namespace overlayd
