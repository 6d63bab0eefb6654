// SPDX-License-Identifier: Apache-2.0
#include "core/durability.h"

namespace overlayd {

std::string_view to_string(Durability durability) {
  switch (durability) {
    case Durability::Strict: return "strict";
    case Durability::Syncfs: return "syncfs";
    case Durability::None: return "none";
  }
  return "strict";
}

std::optional<Durability> parse_durability(std::string_view text) {
  for (const auto durability : {Durability::Strict, Durability::Syncfs, Durability::None}) {
    if (to_string(durability) == text) return durability;
  }
  return std::nullopt;
}

std::string_view to_string(CommitMethod method) {
  switch (method) {
    case CommitMethod::Targeted: return "targeted";
    case CommitMethod::Syncfs: return "syncfs";
    case CommitMethod::None: return "none";
  }
  return "targeted";
}

}  // namespace overlayd
