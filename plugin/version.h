// SPDX-License-Identifier: Apache-2.0
//
// The version this binary was built as, from the build system's project version.
#pragma once

#include <string_view>

namespace overlayd {

std::string_view version() noexcept;

}  // namespace overlayd
