// SPDX-License-Identifier: Apache-2.0
//
// Whether the engine sees what is mounted here. A managed plugin has a mount namespace of its own,
// and what it mounts reaches the engine because both have the home's mount, shared (see
// mount_namespaces(7)). An engine with --live-restore that stops while no container runs unmounts
// its own and leaves the plugin running; from then on containers would get the empty directories
// below the mounts.
#pragma once

#include <filesystem>

namespace overlayd {

/// False when the mount that `directory` lies on is shared, but no other process has it. True also
/// where no other process can be looked at. Throws SysError without /proc.
bool mounts_reach_others(const std::filesystem::path& directory);

}  // namespace overlayd
