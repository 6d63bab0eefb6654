// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <filesystem>

namespace overlayd {

/// Makes `path` and what is missing above it, with this mode. std::filesystem would leave the modes
/// to the umask, and overlayd runs without one.
void make_directories(const std::filesystem::path& path, mode_t mode);

}  // namespace overlayd
