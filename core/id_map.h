// SPDX-License-Identifier: Apache-2.0
//
// IdMap: user-namespace id translation between what a container (and a tar) says and what is on
// disk. An empty map is the identity. Immutable after construction, so freely shared between
// threads.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace overlayd {

struct IdRange {
  uint32_t container_id = 0;
  uint32_t host_id = 0;
  uint32_t size = 0;
  bool operator==(const IdRange&) const = default;
};

class IdMap {
 public:
  IdMap() = default;  ///< identity
  /// Throws Error(InvalidArgument) for an empty range, one that leaves 32 bits, or overlapping
  /// ranges.
  explicit IdMap(std::vector<IdRange> ranges);

  bool is_identity() const noexcept { return ranges_.empty(); }
  const std::vector<IdRange>& ranges() const noexcept { return ranges_; }

  /// nullopt: the map has no such id.
  std::optional<uint32_t> to_host(uint32_t container_id) const noexcept;
  std::optional<uint32_t> to_container(uint32_t host_id) const noexcept;

  bool operator==(const IdMap&) const = default;

 private:
  std::vector<IdRange> ranges_;
};

/// The uid and gid maps of one store, and the ids that container root has on disk.
struct IdMaps {
  IdMap uids;
  IdMap gids;
  /// Host ids of container 0; Error(InvalidArgument) when a non-identity map lacks container id 0.
  uint32_t root_uid() const;
  uint32_t root_gid() const;
  bool operator==(const IdMaps&) const = default;
};

}  // namespace overlayd
