// SPDX-License-Identifier: Apache-2.0
//
// The overlay that a layer is mounted as, for the store to mount and for people to look at. Pure
// functions, any thread.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/layer_id.h"
#include "core/overlay.h"

namespace overlayd {

/// The overlay of layer `id` on the directories `lowers`, nearest first; all relative to the home.
/// Read-only, its own content is the nearest lower. Without a mount label.
OverlaySpec overlay_of(const LayerId& id, bool read_only, const std::vector<std::string>& lowers);

/// A line for a shell that makes the mount of overlay_of() with mount(8) at <id>/merged; `lowers`
/// are links, as in a layer's record.
struct MountCommand {
  std::string line;    ///< empty: there is none
  std::string reason;  ///< why there is none: a sentence without its end
};
MountCommand mount_command(const std::filesystem::path& home, const LayerId& id, bool read_only,
                           const std::vector<std::string>& lowers);

}  // namespace overlayd
