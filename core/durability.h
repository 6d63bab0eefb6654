// SPDX-License-Identifier: Apache-2.0
//
// Durability: what of a change survives a power cut once its call has answered. Plain values.
#pragma once

#include <optional>
#include <string_view>

namespace overlayd {

enum class Durability {
  Strict,  ///< all of it, at the least cost that the file system allows
  Syncfs,  ///< all of it, by writing back whatever the file system holds, anybody's
  None,    ///< what the kernel has written by itself; layers may lack data, as Docker's own
};

/// How it is done; see core/commit.h.
enum class CommitMethod { Targeted, Syncfs, None };

/// "strict", "syncfs", "none".
std::string_view to_string(Durability durability);
std::optional<Durability> parse_durability(std::string_view text);

/// "targeted", "syncfs", "none".
std::string_view to_string(CommitMethod method);

}  // namespace overlayd
