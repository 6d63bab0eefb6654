// SPDX-License-Identifier: Apache-2.0
//
// LayerId: the name an engine gives a layer, checked once at the edge. Inside core an id is never a
// bare string. Immutable value.
#pragma once

#include <compare>
#include <functional>
#include <string>
#include <string_view>

namespace overlayd {

class LayerId {
 public:
  /// The longest file name Linux takes (NAME_MAX); engines use 25 to 69 characters.
  static constexpr size_t kMaxLength = 255;

  /// Accepts any single file name that cannot clash with what the store keeps beside layers: not
  /// empty, no '/' and no NUL, not the link directory's name "l", and no leading '.' (overlayd's
  /// own directory, and transient files of Docker's driver). Throws Error(InvalidArgument) naming
  /// `text` and the rule it breaks.
  static LayerId parse(std::string_view text);

  const std::string& str() const noexcept { return text_; }
  auto operator<=>(const LayerId&) const = default;

 private:
  explicit LayerId(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

/// "layer '9f…'", as messages name it.
std::string layer_name(const LayerId& id);

}  // namespace overlayd

template <>
struct std::hash<overlayd::LayerId> {
  size_t operator()(const overlayd::LayerId& id) const noexcept {
    return std::hash<std::string>()(id.str());
  }
};
