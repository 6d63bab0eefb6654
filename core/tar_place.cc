// SPDX-License-Identifier: Apache-2.0
#include "core/tar_place.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/whiteout.h"

namespace overlayd {

TarPlace place_in_layer(const std::string& tar_name, const char* what) {
  std::vector<std::string_view> parts;
  std::string_view rest = tar_name;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('/'), rest.size());
    const std::string_view part = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      parts.push_back(part);
    } else if (parts.empty()) {
      throw Error(ErrorKind::BadArchive,
                  std::string(what) + " " + quoted(tar_name) + " leads out of the layer");
    } else {
      parts.pop_back();
    }
  }
  TarPlace place;
  if (parts.empty()) return place;
  place.name = parts.back();
  parts.pop_back();
  for (const std::string_view part : parts) {
    if (!place.parent.empty()) place.parent += '/';
    place.parent += part;
  }
  return place;
}

bool is_below_marker(const TarPlace& place) {
  return ("/" + place.parent).find("/" + std::string(whiteout::kPrefix)) != std::string::npos;
}

bool is_aufs_bookkeeping(const TarPlace& place) {
  return std::string_view(place.path()).starts_with(whiteout::kMetaPrefix) &&
         place.path() != whiteout::kOpaqueMarker;
}

}  // namespace overlayd
