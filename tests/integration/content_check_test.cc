// SPDX-License-Identifier: Apache-2.0
#include "core/content_check.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <functional>
#include <sstream>
#include <utility>

#include <doctest/doctest.h>

#include "core/store_check.h"
#include "core/sys.h"
#include "plugin/check_command.h"
#include "tests/integration/overlay_fixture.h"
#include "tests/integration/store_fixture.h"
#include "tests/support/tar_builder.h"

namespace overlayd::test {
namespace {

using Header = TarBuilder::Header;

/// One of every kind of member.
std::string rich_tar() {
  TarBuilder tar;
  tar.header({.name = "etc/", .type = '5', .mode = 0755});
  tar.member({.name = "etc/conf", .mode = 0640, .uid = 3, .gid = 4}, "configured");
  tar.member({.name = "long", .mode = 04755}, std::string(300'000, 'x'));
  tar.header({.name = "soft", .type = '2', .link_name = "etc/conf"});
  tar.header({.name = "hard", .type = '1', .link_name = "etc/conf"});
  tar.header({.name = "harder", .type = '1', .link_name = "hard"});
  tar.header({.name = "hardsoft", .type = '1', .link_name = "soft"});
  tar.header({.name = "pipe", .type = '6'});
  tar.header({.name = "tty", .type = '3', .dev_major = 5, .dev_minor = 1});
  tar.pax({{"SCHILY.xattr.user.note", "kept"}}).file("noted", "n");
  tar.sparse_1_0(Header{.name = "sparse"}, 1ULL << 43, {{4096, "data"}, {1ULL << 42, "far"}});
  tar.file("zeros", std::string(20'000, '\0')).file("empty").file(".wh.gone");
  return tar.end().str();
}

struct ContentSandbox : StoreSandbox {
  ContentSandbox() { open(); }

  void fill(const std::string& id, const std::string& tar, const std::string& parent = "") {
    create(id, parent);
    apply(id, tar, parent);
  }

  /// One line a difference; "none" without a record.
  std::string differences(const std::string& id) const {
    const auto report = check_content(home().get(), id_of(id));
    if (!report) return "no digests";
    std::string text;
    for (const ContentDifference& difference : report->differences) {
      text += difference.path + " " + difference.what + "\n";
    }
    return text;
  }

  bool has_digests(const std::string& id) const {
    return sys::try_fstatat(home().get(), id + "/digests").has_value();
  }

  /// What `harm` does to the layer `a` is found, and gone with a new layer.
  void check_found(const std::string& expected, const std::function<void(int)>& harm) {
    fill("a", rich_tar());
    REQUIRE(differences("a") == "");
    const UniqueFd content = sys::open_directory(home().get(), "a/diff");
    harm(content.get());
    CHECK(differences("a") == expected);
    remove("a");
  }
};

void overwrite(int dirfd, const std::string& path, off_t offset, const std::string& bytes) {
  const UniqueFd file = sys::openat(dirfd, path, O_WRONLY);
  REQUIRE(::pwrite(file.get(), bytes.data(), bytes.size(), offset) == ssize_t(bytes.size()));
}

void set_size(int dirfd, const std::string& path, off_t size) {
  REQUIRE(::ftruncate(sys::openat(dirfd, path, O_WRONLY).get(), size) == 0);
}

TEST_SUITE("content check") {
  TEST_CASE_FIXTURE(ContentSandbox, "a layer of everything is as it was written") {
    fill("base", rich_tar());
    fill("top", rich_tar(), "base");
    CHECK(differences("base") == "");
    CHECK(differences("top") == "");
    const auto report = check_content(home().get(), id_of("base"));
    CHECK(report->files == 13);
    CHECK(report->bytes == 10 + 300'000 + 10 + 10 + 1 + (1ULL << 43) + 20'000);
    remove_everything();
  }

  TEST_CASE_FIXTURE(ContentSandbox, "what has changed in a file is said of it") {
    check_found("a/diff/long has another content than it was written with\n",
                [](int dir) { overwrite(dir, "long", 150'000, "y"); });
    check_found("a/diff/sparse has another content than it was written with\n",
                [](int dir) { overwrite(dir, "sparse", 1LL << 41, "y"); });
    check_found("a/diff/zeros has another content than it was written with\n",
                [](int dir) { overwrite(dir, "zeros", 19'999, "y"); });
    check_found("a/diff/long has 7 bytes, and was written with 300000\n",
                [](int dir) { set_size(dir, "long", 7); });
    check_found("a/diff/long has the mode 0755, and was written with 4755\n",
                [](int dir) { sys::fchmod(sys::openat(dir, "long", O_RDONLY).get(), 0755); });
    check_found("a/diff/empty has the owner 1000:0, and was written with 0:0\n",
                [](int dir) { sys::fchown(sys::openat(dir, "empty", O_RDONLY).get(), 1000, 0); });
    check_found(
        "a/diff/etc/conf has another content than it was written with\n"
        "a/diff/hard has another content than it was written with\n"
        "a/diff/harder has another content than it was written with\n",
        [](int dir) { overwrite(dir, "hard", 2, "NF"); });
    remove_everything();
  }

  TEST_CASE_FIXTURE(ContentSandbox,
                    "zeros where there was a hole, and the other way, are nothing") {
    check_found("", [](int dir) {
      overwrite(dir, "sparse", 100'000, std::string(50'000, '\0'));
      sys::unlinkat(dir, "zeros", 0);
      put_file(dir, "zeros", "");
      sys::fchmod(sys::openat(dir, "zeros", O_RDONLY).get(), 0644);
      set_size(dir, "zeros", 20'000);
    });
    remove_everything();
  }

  TEST_CASE_FIXTURE(ContentSandbox, "what is missing, came anew or became another thing is named") {
    check_found(
        "a/diff/empty is missing\na/diff/etc/conf is missing\na/diff/gone is missing\n"
        "a/diff/pipe is missing\na/diff/soft is missing\n",
        [](int dir) {
          for (const char* name : {"empty", "etc/conf", "gone", "pipe", "soft"}) {
            sys::unlinkat(dir, name, 0);
          }
        });
    check_found(
        "a/diff/etc/new was not there when the layer was written\n"
        "a/diff/other was not there when the layer was written\n",
        [](int dir) {
          put_file(dir, "etc/new", "n");
          REQUIRE(::mknodat(dir, "other", S_IFCHR, 0) == 0);
        });
    check_found(
        "a/diff/empty is a symlink, and was written as a regular file\n"
        "a/diff/gone is a regular file, and was written as a whiteout\n"
        "a/diff/tty has another device number than it was written with\n",
        [](int dir) {
          for (const char* name : {"empty", "gone", "tty"}) sys::unlinkat(dir, name, 0);
          sys::symlinkat("elsewhere", dir, "empty");
          put_file(dir, "gone", "");
          REQUIRE(::mknodat(dir, "tty", S_IFCHR | 0644, makedev(5, 2)) == 0);
        });
    remove_everything();
  }

  TEST_CASE_FIXTURE(ContentSandbox, "what a tar replaces or removes again is not recorded") {
    TarBuilder tar;
    tar.file("twice", "first").file("twice", "second");
    tar.file("d/old").file("d/inner/old").file("d", "a file now");
    tar.file("linked", "before").header({.name = "link", .type = '1', .link_name = "linked"});
    tar.file("linked", "after");
    tar.file("x/.wh.gone").file("x/.wh..wh..opq").file("x/new");
    tar.file(".wh.w").file("w/inside");
    tar.file(".wh..wh.plnk/1.2", "aufs")
        .header({.name = "from-aufs", .type = '1', .link_name = ".wh..wh.plnk/1.2"});
    fill("base", TarBuilder().file("w/hidden").end().str());
    fill("a", tar.end().str(), "base");
    CHECK(differences("a") == "");
    overwrite(home().get(), "a/diff/link", 0, "B");
    CHECK(differences("a") == "a/diff/link has another content than it was written with\n");
    remove_everything();
  }

  TEST_CASE_FIXTURE(ContentSandbox, "names through symlinks are recorded where they lead") {
    fill("base", TarBuilder()
                     .header({.name = "usr/lib/", .type = '5', .mode = 0755})
                     .header({.name = "lib", .type = '2', .link_name = "usr/lib"})
                     .end()
                     .str());
    TarBuilder tar;
    tar.file("lib/a", "in usr").header({.name = "b", .type = '1', .link_name = "lib/a"});
    tar.header({.name = "here", .type = '2', .link_name = "usr"}).file("here/c", "too");
    fill("a", tar.end().str(), "base");
    CHECK(differences("a") == "");
    sys::unlinkat(home().get(), "a/diff/usr/lib/a", 0);
    CHECK(differences("a") == "a/diff/usr/lib/a is missing\n");
    remove_everything();
  }

  TEST_CASE_FIXTURE(ContentSandbox, "a layer that is full of damage names some of it") {
    TarBuilder tar;
    for (int i = 0; i < 500; ++i) tar.file("f" + std::to_string(i), "x");
    fill("a", tar.end().str());
    sys::remove_tree(home().get(), "a/diff");
    make_dirs(home().get(), "a/diff");
    const auto report = check_content(home().get(), id_of("a"));
    CHECK(report->differences.size() == ContentReport::kMostNamed);
    CHECK(report->more == 400);
    remove_everything();
  }

  TEST_CASE_FIXTURE(ContentSandbox, "progress counts the bytes to the last one") {
    fill("a", TarBuilder().file("f", "12345").file("d/g", "678").end().str());
    uint64_t seen = 0, all = 0;
    check_content(home().get(), id_of("a"), [&](uint64_t bytes, uint64_t of) {
      CHECK(bytes >= seen);
      seen = bytes, all = of;
    });
    CHECK(seen == 8);
    CHECK(all == 8);
    remove_everything();
  }

  TEST_CASE_FIXTURE(ContentSandbox,
                    "a layer that goes or is given away while it is compared is not damaged") {
    const std::function<void()> events[] = {[&] { remove("a"); }, [&] { get("a"); }};
    for (const auto& happen : events) {
      fill("base", TarBuilder().end().str());
      fill("a", rich_tar(), "base");
      bool happened = false;
      const auto report = check_content(home().get(), id_of("a"), [&](uint64_t, uint64_t) {
        if (!std::exchange(happened, true)) happen();
      });
      CHECK(happened);
      CHECK(!report);
      remove_everything();
    }
  }

  TEST_CASE_FIXTURE(ContentSandbox, "a damaged record is a damage of its own") {
    fill("a", rich_tar());
    overwrite(home().get(), "a/digests", 30, "?");
    CHECK(differences("a") == "a/digests the record of its digests is damaged\n");
    remove_everything();
  }

  TEST_CASE_FIXTURE(ContentSandbox, "a record lasts until somebody may write to the layer") {
    fill("base", TarBuilder().file("f", "base").end().str());
    fill("middle", TarBuilder().file("g", "middle").end().str(), "base");
    fill("top", TarBuilder().file("h", "top").end().str(), "middle");
    open();
    for (const char* id : {"base", "middle", "top"}) {
      CAPTURE(id);
      get(id);
      put(id);
    }
    CHECK(differences("base") == "");  // they have children
    CHECK(differences("middle") == "");
    CHECK(!has_digests("top"));
    create("child", "top");
    CHECK(differences("top") == "no digests");
    fill("lone", TarBuilder().file("f", "x").end().str());
    get("lone");
    CHECK(!has_digests("lone"));
    put("lone");
    remove_everything();
  }

  TEST_CASE_FIXTURE(ContentSandbox, "layers that no ApplyDiff has filled have no record") {
    create_with("written", "", "f", "x");
    create("failed");
    CHECK(error_of([&] { apply("failed", std::string(512, 'x')); }) != "");
    CHECK(!has_digests("failed"));
    CHECK(differences("written") == "no digests");
    CHECK(differences("failed") == "no digests");
    fill("empty", TarBuilder().end().str());
    CHECK(differences("empty") == "");
    remove_everything();
  }

  // As with a Docker engine that was given the home meanwhile.
  TEST_CASE_FIXTURE(ContentSandbox, "a layer that another driver has mounted is not compared") {
    fill("base", TarBuilder().file("f", "x").end().str());
    fill("top", TarBuilder().file("g", "y").end().str(), "base");
    make_dirs(home().get(), "top/work/work");
    put_file(home().get(), "top/diff/new", "z");
    CHECK(differences("top") == "no digests");
    remove_everything();
  }

  TEST_CASE_FIXTURE(ContentSandbox,
                    "the command compares, names layer and file, and its status tells") {
    fill("base", rich_tar());
    fill("top", TarBuilder().file("dir/f", "content").end().str(), "base");
    create_with("written", "base", "f", "x");
    std::ostringstream out, err;
    const auto run = [&](bool json, bool terminal) {
      out.str({});
      err.str({});
      return run_check({.home = config.home, .store = {.content = true}, .json = json}, out, err,
                       terminal);
    };
    const std::string summary =
        "layers, 0 damages, 0 leftovers, 0 orphans; the store is being served\n";
    CHECK(run(false, false) == 0);
    CHECK(out.str() ==
          "compared 14 files of 8796093342246 bytes in 2 layers; 1 layers have no digests: "
          "written to, or made by another driver\n3 " +
              summary);
    CHECK(err.str() == "");
    CHECK(run(false, true) == 0);
    CHECK(err.str().find("2 of 2 layers") != std::string::npos);
    overwrite(home().get(), "top/diff/dir/f", 3, "T");
    CHECK(run(false, false) == 1);
    CHECK(out.str().starts_with(
        "damage: 'top/diff/dir/f': has another content than it was written with\n"));
    CHECK(run(true, true) == 1);
    CHECK(err.str() == "");
    CHECK(out.str().find("\"layer\": \"top\"") != std::string::npos);
    CHECK(out.str().find("\"without_digests\": 1") != std::string::npos);
    remove_everything();
  }
}

}  // namespace
}  // namespace overlayd::test
