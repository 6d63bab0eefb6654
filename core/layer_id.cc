// SPDX-License-Identifier: Apache-2.0
#include "core/layer_id.h"

#include "core/error.h"

namespace overlayd {

LayerId LayerId::parse(std::string_view text) {
  const auto refuse = [&](const char* why) {
    throw Error(ErrorKind::InvalidArgument, "layer id " + quoted(text) + " " + why);
  };
  if (text.empty()) throw Error(ErrorKind::InvalidArgument, "layer id is empty");
  if (text.size() > kMaxLength) refuse("is longer than 255 bytes");
  if (text.find('/') != std::string_view::npos) refuse("contains '/'");
  if (text.find('\0') != std::string_view::npos) refuse("contains a NUL byte");
  if (text.front() == '.') refuse("begins with '.', which the store keeps for itself");
  if (text == "l") refuse("is the name of the link directory");
  return LayerId(std::string(text));
}

std::string layer_name(const LayerId& id) { return "layer " + quoted(id.str()); }

}  // namespace overlayd
