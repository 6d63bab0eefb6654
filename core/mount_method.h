// SPDX-License-Identifier: Apache-2.0
//
// MountMethod: the three ways to hand an overlay its layers, by what the kernel takes. Plain value.
#pragma once

#include <optional>
#include <string_view>

namespace overlayd {

enum class MountMethod {
  Auto,        ///< the best the kernel has; never the answer of a probe
  LayerFds,    ///< as LayerNames, and lowers that have no path by FSCONFIG_SET_FD, Linux 6.13
  LayerNames,  ///< fsconfig(FSCONFIG_SET_STRING, "lowerdir+"), Linux 6.8: up to 500 lowers
  Classic,     ///< mount(2) with one page of options: up to 128 lowers, as Docker's driver
};

/// "auto", "layer-fds", "layer-names", "classic".
std::string_view to_string(MountMethod method);
std::optional<MountMethod> parse_mount_method(std::string_view text);

}  // namespace overlayd
