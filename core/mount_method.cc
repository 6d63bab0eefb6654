// SPDX-License-Identifier: Apache-2.0
#include "core/mount_method.h"

namespace overlayd {

std::string_view to_string(MountMethod method) {
  switch (method) {
    case MountMethod::Auto: return "auto";
    case MountMethod::LayerFds: return "layer-fds";
    case MountMethod::LayerNames: return "layer-names";
    case MountMethod::Classic: return "classic";
  }
  return "auto";
}

std::optional<MountMethod> parse_mount_method(std::string_view text) {
  for (const auto method :
       {MountMethod::Auto, MountMethod::LayerFds, MountMethod::LayerNames, MountMethod::Classic}) {
    if (to_string(method) == text) return method;
  }
  return std::nullopt;
}

}  // namespace overlayd
