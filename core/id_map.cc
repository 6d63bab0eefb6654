// SPDX-License-Identifier: Apache-2.0
#include "core/id_map.h"

#include <string>

#include "core/error.h"

namespace overlayd {
namespace {

bool overlap(uint32_t a, uint32_t a_size, uint32_t b, uint32_t b_size) {
  return uint64_t{a} < uint64_t{b} + b_size && uint64_t{b} < uint64_t{a} + a_size;
}

std::optional<uint32_t> translate(const std::vector<IdRange>& ranges, uint32_t id,
                                  uint32_t IdRange::*from, uint32_t IdRange::*to) noexcept {
  if (ranges.empty()) return id;
  for (const IdRange& range : ranges) {
    const uint32_t start = range.*from;
    if (id >= start && id - start < range.size) return range.*to + (id - start);
  }
  return std::nullopt;
}

uint32_t root_of(const IdMap& map, const char* which) {
  const auto root = map.to_host(0);
  if (!root) {
    throw Error(ErrorKind::InvalidArgument,
                std::string("the ") + which + " map has no entry for container id 0");
  }
  return *root;
}

}  // namespace

IdMap::IdMap(std::vector<IdRange> ranges) : ranges_(std::move(ranges)) {
  const auto refuse = [](const IdRange& range, const char* why) {
    throw Error(ErrorKind::InvalidArgument, "id map entry " + std::to_string(range.container_id) +
                                                ":" + std::to_string(range.host_id) + ":" +
                                                std::to_string(range.size) + " " + why);
  };
  constexpr uint64_t kIds = uint64_t{1} << 32;
  for (size_t i = 0; i < ranges_.size(); ++i) {
    const IdRange& range = ranges_[i];
    if (range.size == 0) refuse(range, "is empty");
    if (uint64_t{range.container_id} + range.size > kIds ||
        uint64_t{range.host_id} + range.size > kIds)
      refuse(range, "goes past the largest id");
    for (size_t j = 0; j < i; ++j) {
      const IdRange& other = ranges_[j];
      if (overlap(range.container_id, range.size, other.container_id, other.size) ||
          overlap(range.host_id, range.size, other.host_id, other.size))
        refuse(range, "overlaps another entry");
    }
  }
}

std::optional<uint32_t> IdMap::to_host(uint32_t container_id) const noexcept {
  return translate(ranges_, container_id, &IdRange::container_id, &IdRange::host_id);
}

std::optional<uint32_t> IdMap::to_container(uint32_t host_id) const noexcept {
  return translate(ranges_, host_id, &IdRange::host_id, &IdRange::container_id);
}

uint32_t IdMaps::root_uid() const { return root_of(uids, "uid"); }
uint32_t IdMaps::root_gid() const { return root_of(gids, "gid"); }

}  // namespace overlayd
