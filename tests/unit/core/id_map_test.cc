// SPDX-License-Identifier: Apache-2.0
#include "core/id_map.h"

#include <optional>
#include <vector>

#include <doctest/doctest.h>

#include "core/error.h"

namespace overlayd {
namespace {

constexpr uint32_t kLast = UINT32_MAX;

TEST_SUITE("id map") {
  TEST_CASE("an empty map is the identity") {
    const IdMap map;
    CHECK(map.is_identity());
    for (const uint32_t id : {uint32_t{0}, uint32_t{1000}, kLast}) {
      CHECK(map.to_host(id) == id);
      CHECK(map.to_container(id) == id);
    }
    CHECK(IdMaps{}.root_uid() == 0);
    CHECK(IdMaps{}.root_gid() == 0);
  }

  TEST_CASE("ids are translated within their range and nowhere else") {
    const IdMap map({{0, 100000, 10}, {10, 5, 1}, {1000, kLast, 1}});
    struct Case {
      uint32_t container;
      std::optional<uint32_t> host;
    };
    for (const auto& [container, host] :
         {Case{0, 100000}, Case{9, 100009}, Case{10, 5}, Case{11, {}}, Case{999, {}},
          Case{1000, kLast}, Case{1001, {}}, Case{kLast, {}}}) {
      CAPTURE(container);
      CHECK(map.to_host(container) == host);
      if (host) CHECK(map.to_container(*host) == container);
    }
    CHECK_FALSE(map.to_container(0));
    CHECK_FALSE(map.to_container(100010));
    CHECK_FALSE(map.is_identity());
  }

  TEST_CASE("ranges that make no sense are refused") {
    struct Case {
      std::vector<IdRange> ranges;
      const char* message;
    };
    for (const auto& [ranges, message] :
         {Case{{{0, 0, 0}}, "id map entry 0:0:0 is empty"},
          Case{{{1, 0, kLast}, {0, 1, 0}}, "id map entry 0:1:0 is empty"},
          Case{{{2, 0, kLast}}, "id map entry 2:0:4294967295 goes past the largest id"},
          Case{{{0, 2, kLast}}, "id map entry 0:2:4294967295 goes past the largest id"},
          Case{{{0, 100, 10}, {9, 200, 1}}, "id map entry 9:200:1 overlaps another entry"},
          Case{{{0, 100, 10}, {10, 109, 1}}, "id map entry 10:109:1 overlaps another entry"}}) {
      CAPTURE(message);
      CHECK_THROWS_WITH_AS(IdMap{ranges}, message, Error);
    }
    CHECK_NOTHROW(IdMap({{0, 100, 10}, {10, 110, 10}}));
    CHECK_NOTHROW(IdMap({{1, 1, kLast}}));
  }

  TEST_CASE("container root must be on disk as somebody") {
    const IdMaps maps{.uids = IdMap({{0, 7, 1}}), .gids = IdMap({{1, 8, 1}})};
    CHECK(maps.root_uid() == 7);
    CHECK_THROWS_WITH_AS(static_cast<void>(maps.root_gid()),
                         "the gid map has no entry for container id 0", Error);
  }
}

}  // namespace
}  // namespace overlayd
