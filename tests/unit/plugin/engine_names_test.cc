// SPDX-License-Identifier: Apache-2.0
#include "plugin/engine_names.h"

#include <filesystem>
#include <string>

#include <doctest/doctest.h>

#include "tests/support/temp_dir.h"

namespace overlayd {
namespace {

using Names = std::vector<std::string>;

/// What an engine writes: two image layers on each other, an image of each, another of the upper.
struct Engine {
  Engine() {
    put("image/d/layerdb/sha256/c1/diff", "sha256:d1");
    put("image/d/layerdb/sha256/c2/diff", "sha256:d2");
    put("image/d/layerdb/sha256/c2/parent", "sha256:c1");
    put("image/d/imagedb/content/sha256/aaaaaaaaaaaaaaaaaaaa",
        R"({"rootfs": {"type": "layers", "diff_ids": ["sha256:d1"]}})");
    put("image/d/imagedb/content/sha256/bbbb",
        R"({"rootfs": {"type": "layers", "diff_ids": ["sha256:d1", "sha256:d2"]}})");
    put("image/d/imagedb/content/sha256/cccc",
        R"({"rootfs": {"type": "layers", "diff_ids": ["sha256:d1", "sha256:d2"]}})");
    put("image/d/repositories.json", R"({"Repositories": {
        "b": {"b:one": "sha256:bbbb", "b:two": "sha256:bbbb", "b@sha256:00": "sha256:bbbb"},
        "c": {"c:latest": "sha256:cccc"}}})");
    put("containers/1234567890abcdef/config.v2.json", R"({"Name": "/web"})");
  }

  void put(const std::string& path, const std::string& content) const {
    std::filesystem::create_directories(std::filesystem::path(root / path).parent_path());
    root.write(path, content);
  }
  Names of(EngineUser::Kind kind, const std::string& name) const {
    return EngineNames(root / "image/d/layerdb").of({kind, name});
  }

  test::TempDir root;
};

TEST_SUITE("engine_names") {
  TEST_CASE_FIXTURE(Engine, "images are named at their topmost layer, by tags or by id") {
    CHECK(of(EngineUser::Kind::Image, "sha256:c1") == Names{"aaaaaaaaaaaa"});
    CHECK(of(EngineUser::Kind::Image, "sha256:c2") == Names{"b:one", "b:two", "c:latest"});
    CHECK(of(EngineUser::Kind::Image, "sha256:c3").empty());
  }

  TEST_CASE_FIXTURE(Engine, "a container has its name, or the beginning of its id") {
    CHECK(of(EngineUser::Kind::Container, "1234567890abcdef") == Names{"web"});
    CHECK(of(EngineUser::Kind::Init, "1234567890abcdef") == Names{"web"});
    CHECK(of(EngineUser::Kind::Container, "fedcba0987654321") == Names{"fedcba098765"});
  }

  TEST_CASE_FIXTURE(Engine, "what is damaged only leaves names out") {
    for (const char* damage : {"", "{", "[]", "null", R"({"Repositories": 1})",
                               R"({"Repositories": {"b": 1, "c": {"c:x": {}}}})"}) {
      CAPTURE(damage);
      put("image/d/repositories.json", damage);
      CHECK(of(EngineUser::Kind::Image, "sha256:c2") == Names{"bbbb", "cccc"});
    }
    for (const char* damage : {"", "{", "[]", R"({"rootfs": 1})", R"({"rootfs": {"diff_ids": 1}})",
                               R"({"rootfs": {"diff_ids": [1, {}]}})"}) {
      CAPTURE(damage);
      put("image/d/imagedb/content/sha256/bbbb", damage);
      CHECK(of(EngineUser::Kind::Image, "sha256:c2") == Names{"cccc"});
    }
    put("containers/1234567890abcdef/config.v2.json", R"({"Name": {}})");
    CHECK(of(EngineUser::Kind::Container, "1234567890abcdef") == Names{"1234567890ab"});
  }

  TEST_CASE_FIXTURE(Engine, "a name cannot play with the terminal") {
    put("containers/1234567890abcdef/config.v2.json", R"({"Name": "/a\u001b[2Jb"})");
    CHECK(of(EngineUser::Kind::Container, "1234567890abcdef") == Names{"a\\x1b[2Jb"});
  }
}

}  // namespace
}  // namespace overlayd
