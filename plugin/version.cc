// SPDX-License-Identifier: Apache-2.0
#include "plugin/version.h"

namespace overlayd {

std::string_view version() noexcept { return OVERLAYD_VERSION; }

}  // namespace overlayd
