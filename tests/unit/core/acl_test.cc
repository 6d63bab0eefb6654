// SPDX-License-Identifier: Apache-2.0
#include "core/acl.h"

#include <string>

#include <doctest/doctest.h>

#include "core/error.h"

namespace overlayd {
namespace {

const IdMaps kMaps{IdMap({{0, 100000, 1000}}), IdMap({{0, 200000, 1000}})};

std::string entry(char tag, char permissions, uint32_t id) {
  std::string out{tag, 0, permissions, 0};
  for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(id >> shift);
  return out;
}

// user::rw- user:UID:r-- group::r-- group:GID:rwx mask::rwx other::---
std::string acl_with(uint32_t uid, uint32_t gid) {
  return std::string("\2\0\0\0", 4) + entry(1, 6, UINT32_MAX) + entry(2, 4, uid) +
         entry(4, 4, UINT32_MAX) + entry(8, 7, gid) + entry(16, 7, UINT32_MAX) +
         entry(32, 0, UINT32_MAX);
}

TEST_SUITE("acl") {
  TEST_CASE("named users and groups go through their maps, both ways") {
    CHECK(acl::for_tar(acl_with(100007, 200008), kMaps) == acl_with(7, 8));
    CHECK(acl::for_disk(acl_with(7, 8), kMaps) == acl_with(100007, 200008));
  }

  TEST_CASE("without maps nothing changes") {
    CHECK(acl::for_tar(acl_with(7, 8), {}) == acl_with(7, 8));
    CHECK(acl::for_disk(acl_with(7, 8), {}) == acl_with(7, 8));
  }

  TEST_CASE("an id outside the map is an error that names it") {
    CHECK_THROWS_WITH_AS(acl::for_tar(acl_with(7, 200008), kMaps),
                         "id 7 in an ACL is outside the store's id map", Error);
    CHECK_THROWS_WITH_AS(acl::for_disk(acl_with(1, 5000), kMaps),
                         "id 5000 in an ACL is outside the store's id map", Error);
  }

  TEST_CASE("what is no ACL is refused") {
    const std::string good = acl_with(7, 8);
    for (const std::string& value : {std::string(), std::string("\2\0\0", 3),
                                     good.substr(0, good.size() - 1), "\3" + good.substr(1)}) {
      CAPTURE(value.size());
      CHECK_THROWS_WITH_AS(acl::for_disk(value, {}), "an ACL that cannot be read", Error);
    }
  }
}

}  // namespace
}  // namespace overlayd
