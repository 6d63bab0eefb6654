// SPDX-License-Identifier: Apache-2.0
#include "plugin/move.h"

#include <sys/file.h>

#include <sstream>
#include <string>

#include <doctest/doctest.h>

#include "core/error.h"
#include "plugin/move_command.h"
#include "tests/unit/plugin/fake_data_root.h"

namespace overlayd::test {
namespace {

struct MovedRoot : FakeDataRoot {
  int run(Direction direction, std::optional<std::string> driver = std::nullopt) {
    out.str({});
    err.str({});
    return run_move({.direction = direction, .root = path(), .driver = std::move(driver)}, out,
                    err);
  }
  int adopt() { return run(Direction::Adopt); }
  int release() { return run(Direction::Release); }
  /// Nothing is changed, and `text` is said about it.
  void refuses(Direction direction, const std::string& text,
               std::optional<std::string> driver = std::nullopt) {
    const std::string before = tree();
    CHECK(run(direction, std::move(driver)) == 1);
    CHECK_MESSAGE(err.str().find(text) != std::string::npos, err.str());
    CHECK(tree() == before);
  }
  std::string config(const std::string& container) const {
    return dir.read("containers/" + container + "/config.v2.json");
  }
  void rename(const std::string& from, const std::string& to) const {
    sys::renameat(dir.fd(), from, dir.fd(), to);
  }
  void record(const std::string& move) const {
    put("overlayd-move.json",
        R"({"move":")" + move + R"(","driver":"overlayd","home":"overlayd"})");
  }

  std::ostringstream out, err;
};

TEST_SUITE("move") {
  TEST_CASE_FIXTURE(MovedRoot, "adopt takes layers, images and containers") {
    const std::string other = config("old");
    std::string web = config("web");
    REQUIRE(adopt() == 0);
    CHECK(err.str().empty());
    CHECK(out.str() == "moved 4 layers to '" + path() +
                           "/overlayd', with their images and 1 container\n"
                           "the engine finds them with the storage driver 'overlayd' and the "
                           "option experimental, as in daemon.json\n");
    CHECK(dir.read("overlayd/moved1/diff/file") == "content");
    CHECK(dir.read("overlayd/l/" + link('A') + "/file") == "content");
    CHECK(dir.read("image/overlayd/layerdb/sha256/c1/cache-id") == "moved1");
    CHECK_FALSE(has("overlay2"));
    CHECK_FALSE(has("image/overlay2"));
    CHECK_FALSE(has("overlayd-move.json"));
    web.replace(web.find("overlay2"), 8, "overlayd");
    CHECK(config("web") == web);
    CHECK(config("old") == other);
  }

  TEST_CASE_FIXTURE(MovedRoot, "release gives back the very same") {
    const std::string before = tree();
    REQUIRE(adopt() == 0);
    REQUIRE(release() == 0);
    CHECK(tree() == before);
  }

  TEST_CASE_FIXTURE(MovedRoot, "a record of a container keeps its mode") {
    const std::string file = "containers/web/config.v2.json";
    REQUIRE(::fchmodat(dir.fd(), file.c_str(), 0640, 0) == 0);
    REQUIRE(adopt() == 0);
    CHECK((sys::fstatat(dir.fd(), file).st_mode & 07777) == 0640);
  }

  TEST_CASE_FIXTURE(MovedRoot, "release takes away what is overlayd's own") {
    const std::string before = tree();
    REQUIRE(adopt() == 0);
    for (const char* name : {"lock", "trash/gone/diff/x", "staging/half/link"}) {
      put(std::string("overlayd/.overlayd/") + name, "");
    }
    put("overlayd/moved1/size", "7\n");
    put("overlayd/moved1/digests", "…");
    put("overlayd/moved2/partial/file", "half");
    put("overlayd/moved2/size.new", "");
    put("overlayd/moved1/diff/size", "");
    // The engine does not know it any more.
    sys::remove_tree(dir.fd(), "image/overlayd/layerdb/sha256/c2");
    REQUIRE(release() == 0);
    CHECK(has("overlay2/moved1/diff/size"));
    sys::unlinkat(dir.fd(), "overlay2/moved1/diff/size", 0);
    put("image/overlay2/layerdb/sha256/c2/cache-id", "moved2");
    CHECK(tree() == before);
  }

  TEST_CASE_FIXTURE(MovedRoot, "a dry run says what would be done, and changes nothing") {
    const std::string before = tree();
    CHECK(run_move({.direction = Direction::Adopt, .root = path(), .dry_run = true}, out, err) ==
          0);
    CHECK(out.str() == "would rename '" + path() + "/image/overlay2' to '" + path() +
                           "/image/overlayd'\nwould rename '" + path() +
                           "/overlay2', with 4 layers, to '" + path() +
                           "/overlayd'\nwould make 1 container those of driver 'overlayd'\n");
    CHECK(tree() == before);
  }

  TEST_CASE_FIXTURE(MovedRoot, "it is refused while somebody is at work") {
    SUBCASE("an engine") {
      const UniqueFd file = sys::openat(dir.fd(), "volumes/metadata.db", O_RDWR);
      REQUIRE(::flock(file.get(), LOCK_EX) == 0);
      refuses(Direction::Adopt, "an engine is running on '" + path() + "'");
    }
    SUBCASE("a container") {
      container("web", "overlay2", true);
      refuses(Direction::Adopt, "container 'web' is running: stop it");
    }
    SUBCASE("overlayd, on the store") {
      REQUIRE(adopt() == 0);
      put("overlayd/.overlayd/lock", "");
      const UniqueFd file = sys::openat(dir.fd(), "overlayd/.overlayd/lock", O_RDWR);
      REQUIRE(::flock(file.get(), LOCK_EX) == 0);
      refuses(Direction::Release, "overlayd serves '" + path() + "/overlayd': stop it first");
    }
    SUBCASE("overlayd, on an empty one in its place") {
      empty_home("overlayd");
      put("overlayd/.overlayd/lock", "");
      const UniqueFd file = sys::openat(dir.fd(), "overlayd/.overlayd/lock", O_RDWR);
      REQUIRE(::flock(file.get(), LOCK_EX) == 0);
      refuses(Direction::Adopt, "overlayd serves '" + path() + "/overlayd': stop it first");
    }
  }

  TEST_CASE_FIXTURE(MovedRoot, "a container of another driver may run") {
    container("old", "aufs", true);
    CHECK(adopt() == 0);
  }

  TEST_CASE_FIXTURE(MovedRoot, "it is refused where there is nothing to be moved") {
    refuses(Direction::Release, "nothing to release: '" + path() + "/overlayd' holds no layers");
    REQUIRE(adopt() == 0);
    refuses(Direction::Adopt, "nothing to adopt: '" + path() + "/overlay2' holds no layers");
    sys::remove_tree(dir.fd(), "overlayd");
    refuses(Direction::Adopt, "there is neither '" + path() + "/overlay2' nor");
    directory("200000.300000/overlay2");
    refuses(Direction::Adopt,
            "with remapped users the data root is '" + path() + "/200000.300000'");
    sys::remove_tree(dir.fd(), "containers");
    refuses(Direction::Adopt, "'" + path() +
                                  "' is no data root of an engine: it lacks 'containers' or "
                                  "'image'; with remapped users the data root is '" +
                                  path() + "/200000.300000'");
  }

  TEST_CASE_FIXTURE(MovedRoot, "it is refused where something is in the way") {
    SUBCASE("layers") {
      directory("overlayd/l");
      layer("overlayd", "mine", 'X');
      refuses(Direction::Adopt,
              "'" + path() + "/overlay2' and '" + path() + "/overlayd' both hold something");
    }
    SUBCASE("images") {
      put("image/overlayd/imagedb/content/sha256/i9", "{}");
      refuses(Direction::Adopt, "'" + path() + "/image/overlay2' and '" + path() +
                                    "/image/overlayd' both hold something");
    }
    SUBCASE("containers that it made") {
      put("image/overlayd/layerdb/mounts/other/mount-id", "x");
      refuses(Direction::Adopt, "both hold something");
    }
    SUBCASE("the images are of another store") {
      rename("image/overlay2", "image/overlayd");
      refuses(Direction::Adopt, "layers are in '" + path() +
                                    "/overlay2', but the image database is '" + path() +
                                    "/image/overlayd'");
    }
    SUBCASE("a symlink") {
      rename("overlay2", "elsewhere");
      sys::symlinkat("elsewhere", dir.fd(), "overlay2");
      refuses(Direction::Adopt, "'" + path() + "/overlay2' is no directory, or a symlink to one");
    }
  }

  TEST_CASE_FIXTURE(MovedRoot, "what an engine makes that has nothing is not in the way") {
    empty_home("overlayd");
    empty_images("overlayd");
    put("overlayd/.overlayd/lock", "");
    REQUIRE(adopt() == 0);
    CHECK(dir.read("overlayd/moved1/diff/file") == "content");
    CHECK(dir.read("image/overlayd/imagedb/content/sha256/i1") == "{}");
    empty_home("overlay2");
    empty_images("overlay2");
    REQUIRE(release() == 0);
    CHECK(dir.read("overlay2/moved1/diff/file") == "content");
    CHECK_FALSE(has("overlayd"));
    CHECK_FALSE(has("image/overlayd"));
  }

  TEST_CASE_FIXTURE(MovedRoot, "a damaged store is not moved") {
    sys::unlinkat(dir.fd(), "overlay2/l/" + link('B'), 0);
    refuses(Direction::Adopt,
            "damage: 'l/BBBBBBBBBBBBBBBBBBBBBBBBBB': the link is missing or leads elsewhere "
            "(`overlayd check --repair` mends it)");
  }

  TEST_CASE_FIXTURE(MovedRoot, "damage to what nobody needs is only said") {
    directory("overlay2/orphan/diff");
    put("overlay2/orphan/link", "torn");
    REQUIRE(adopt() == 0);
    CHECK(err.str().find("damage: 'orphan") != std::string::npos);
  }

  TEST_CASE_FIXTURE(MovedRoot, "a container whose record cannot be read is left alone") {
    for (const char* damage : {"", "{", "[]", R"({"Driver": 1})"}) {
      CAPTURE(damage);
      put("containers/torn/config.v2.json", damage);
      REQUIRE(adopt() == 0);
      CHECK(err.str() ==
            "overlayd: container 'torn' is left alone: what the engine has written down of it "
            "cannot be read\n");
      CHECK(config("torn") == damage);
      REQUIRE(release() == 0);
    }
  }

  TEST_CASE_FIXTURE(MovedRoot, "release is refused for what Docker's driver cannot mount") {
    REQUIRE(adopt() == 0);
    std::string lowers = "DCBA", id;
    std::vector<std::string> links = {link('D'), link('C'), link('B'), link('A')};
    by_letter = {{'D', "overlayd/moved3"}};
    put("overlayd/moved3/committed", "");
    for (size_t depth = 4; depth <= 129; ++depth) {
      id = "deep" + std::to_string(depth);
      const std::string name =
          "E" + std::string(23, 'A') + char('A' + depth / 26) + char('A' + depth % 26);
      directory("overlayd/" + id + "/diff");
      directory("overlayd/" + id + "/work");
      put("overlayd/" + id + "/link", name);
      put("overlayd/" + id + "/lower", layout::format_lower(links));
      put("overlayd/" + id + "/committed", "");
      sys::symlinkat("../" + id + "/diff", dir.fd(), "overlayd/l/" + name);
      links.insert(links.begin(), name);
    }
    refuses(Direction::Release,
            "layer 'deep129' lies on 129 others, and the engine's own driver mounts no more than "
            "128");
    sys::remove_tree(dir.fd(), "overlayd/deep129");
    CHECK(release() == 0);
  }

  TEST_CASE_FIXTURE(MovedRoot, "release is refused for a layer that the engine takes for whole") {
    REQUIRE(adopt() == 0);
    directory("overlayd/moved2/partial");
    refuses(Direction::Release, "layer 'moved2' was never filled");
  }

  TEST_CASE_FIXTURE(MovedRoot, "a driver has a name of its own") {
    for (const char* name : {"", "overlay2", "../x", "/x", "a//b", "a/", ".x"}) {
      CAPTURE(name);
      refuses(Direction::Adopt, "is no name that overlayd can have as a storage driver", name);
    }
    REQUIRE(run(Direction::Adopt, "mine") == 0);
    CHECK(has("mine/moved1"));
    CHECK(has("image/mine/imagedb"));
    CHECK(config("web").find(R"("Driver":"mine")") != std::string::npos);
    refuses(Direction::Release, "there is neither");
    CHECK(run(Direction::Release, "mine") == 0);
  }

  TEST_CASE_FIXTURE(MovedRoot, "a managed plugin has its home where the engine keeps the plugin") {
    refuses(Direction::Adopt, "there is no managed plugin 'x/overlayd:1'", "x/overlayd:1");
    put("plugins/p1/config.json", R"({"plugin":{"Name":"other:1"}})");
    put("plugins/p2/config.json", R"({"plugin":{"Name":"x/overlayd:1"}})");
    directory("plugins/p2/propagated-mount");
    REQUIRE(run(Direction::Adopt, "x/overlayd:1") == 0);
    CHECK(has("plugins/p2/propagated-mount/x/overlayd:1/moved1"));
    CHECK(has("image/x/overlayd:1/imagedb"));
    REQUIRE(run(Direction::Release, "x/overlayd:1") == 0);
    CHECK(has("overlay2/moved1"));
    CHECK(has("image/overlay2/imagedb"));
  }
}

/// Every state that an interrupted move can leave, and what both commands make of it.
struct InterruptedRoot : MovedRoot {
  /// As far as adopt gets: 0 the record, 1 a container, 2 the images, 3 the layers.
  void adopt_up_to(int step) const {
    record("adopt");
    if (step >= 1) container("web", "overlayd");
    if (step >= 2) rename("image/overlay2", "image/overlayd");
    if (step >= 3) rename("overlay2", "overlayd");
  }
  void release_up_to(int step) const {
    record("release");
    if (step >= 1) container("web", "overlay2");
    if (step >= 2) rename("overlayd", "overlay2");
    if (step >= 3) rename("image/overlayd", "image/overlay2");
  }
};

TEST_SUITE("interrupted move") {
  TEST_CASE("adopt goes on from wherever it was left, and release takes it back") {
    std::string adopted, released;
    {
      InterruptedRoot root;
      released = root.tree();
      REQUIRE(root.adopt() == 0);
      adopted = root.tree();
    }
    for (int step = 0; step <= 3; ++step) {
      CAPTURE(step);
      InterruptedRoot on, back;
      on.adopt_up_to(step);
      CHECK(on.adopt() == 0);
      CHECK(on.out.str().starts_with("an interrupted adopt is finished\n"));
      CHECK(on.tree() == adopted);
      back.adopt_up_to(step);
      CHECK(back.release() == 0);
      CHECK(back.out.str().starts_with("an interrupted adopt is taken back\n"));
      CHECK(back.tree() == released);
    }
    for (int step = 0; step <= 3; ++step) {
      CAPTURE(step);
      InterruptedRoot on, back;
      REQUIRE(on.adopt() == 0);
      REQUIRE(back.adopt() == 0);
      on.release_up_to(step);
      CHECK(on.release() == 0);
      CHECK(on.tree() == released);
      back.release_up_to(step);
      CHECK(back.adopt() == 0);
      CHECK(back.tree() == adopted);
    }
  }

  TEST_CASE_FIXTURE(InterruptedRoot,
                    "what an engine has made in between makes way if it is empty") {
    adopt_up_to(2);
    empty_images("overlay2");
    CHECK(adopt() == 0);
    CHECK(has("image/overlayd/imagedb/content/sha256/i1"));
    release_up_to(2);
    empty_images("overlay2");
    CHECK(release() == 0);
    CHECK(has("image/overlay2/imagedb/content/sha256/i1"));
    CHECK(has("overlay2/moved1"));
  }

  TEST_CASE_FIXTURE(InterruptedRoot, "and stops it if it is not") {
    adopt_up_to(2);
    put("image/overlay2/imagedb/content/sha256/i2", "{}");
    refuses(Direction::Adopt, "both hold something");
    refuses(Direction::Release, "both hold something");
  }

  TEST_CASE_FIXTURE(InterruptedRoot, "an engine that holds the data root keeps it as it is") {
    adopt_up_to(1);
    const UniqueFd file = sys::openat(dir.fd(), "volumes/metadata.db", O_RDWR);
    REQUIRE(::flock(file.get(), LOCK_EX) == 0);
    refuses(Direction::Adopt, "an engine is running");
  }

  TEST_CASE_FIXTURE(InterruptedRoot, "an error on the way says that it is to be run again") {
    REQUIRE(adopt() == 0);
    put("overlayd/.overlayd", "a file, which no lock can be in");
    CHECK(release() == 2);
    CHECK(err.str().starts_with("overlayd: release: interrupted, and to be run again: "));
    CHECK(has("overlayd-move.json"));
    sys::unlinkat(dir.fd(), "overlayd/.overlayd", 0);
    CHECK(release() == 0);
    CHECK_FALSE(has("overlayd-move.json"));
  }

  TEST_CASE_FIXTURE(InterruptedRoot, "another driver's move is not begun meanwhile") {
    adopt_up_to(1);
    refuses(Direction::Adopt, "a move of driver 'overlayd' was interrupted", "mine");
  }

  TEST_CASE_FIXTURE(InterruptedRoot, "a record that says nothing is an error") {
    for (const char* damage :
         {"", "{}", "[]", R"({"move":"x","driver":"d","home":"h"})",
          R"({"move":"adopt","driver":1,"home":"h"})", R"({"move":"adopt","driver":"d"})"}) {
      CAPTURE(damage);
      put("overlayd-move.json", damage);
      const std::string before = tree();
      CHECK(adopt() == 2);
      CHECK(err.str().find("'overlayd-move.json' is no record of a move") != std::string::npos);
      CHECK(tree() == before);
    }
  }

  TEST_CASE_FIXTURE(InterruptedRoot, "a home in it is not to be served") {
    check_not_being_moved(dir / "overlayd");
    record("adopt");
    CHECK_THROWS_WITH_AS(check_not_being_moved(dir / "overlayd"),
                         doctest::Contains("a move between drivers was interrupted"), Error);
  }
}

}  // namespace
}  // namespace overlayd::test
