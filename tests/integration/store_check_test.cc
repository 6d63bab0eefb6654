// SPDX-License-Identifier: Apache-2.0
#include "core/store_check.h"

#include <fcntl.h>
#include <sys/mount.h>

#include <atomic>
#include <sstream>
#include <thread>

#include <doctest/doctest.h>

#include "core/layout.h"
#include "core/scope_exit.h"
#include "core/store_lock.h"
#include "core/sys.h"
#include "plugin/check_command.h"
#include "tests/integration/overlay_fixture.h"
#include "tests/integration/store_fixture.h"
#include "tests/support/tree_dump.h"

namespace overlayd::test {
namespace {

using Gravity = Finding::Gravity;

/// A store of a base, two layers on it and one beside them; closed.
struct CheckSandbox : StoreSandbox {
  CheckSandbox() {
    open();
    create_with("base", "", "f", "base");
    create_with("middle", "base", "g", "middle");
    create_with("top", "middle", "h", "top!");
    create_with("other", "base", "i", "other");
    close();
  }

  StoreReport check(const StoreCheckOptions& options = {}) const {
    return check_store(config.home, options);
  }
  /// One line a finding.
  std::string findings(const StoreCheckOptions& options = {}) const {
    std::string text;
    for (const Finding& finding : check(options).findings) {
      text += std::string(finding.gravity == Gravity::Damage ? "damage " : "leftover ") +
              finding.layer + " " + finding.file + ": " + finding.what + "\n";
    }
    return text;
  }
  std::string tree() const { return tree_text(home().get()); }
  void put_in_home(const std::string& path, const std::string& content) const {
    sys::unlinkat(home().get(), path, 0);
    put_file(home().get(), path, content);
  }
  std::string link_path_of(const std::string& id) const {
    return layout::link_path(content_of(home().get(), id + "/link"));
  }
};

TEST_SUITE("store_check") {
  TEST_CASE_FIXTURE(CheckSandbox, "a healthy store has nothing to be said about, served or not") {
    const std::string before = tree();
    CHECK(findings().empty());
    CHECK(check().layers == 4);
    CHECK(!check().served);
    CHECK(tree() == before);
    open();
    get("top");
    CHECK(findings().empty());
    CHECK(check().served);
    put("top");
    CHECK(findings().empty());
    remove_everything();
  }

  TEST_CASE_FIXTURE(CheckSandbox, "what can be repaired is named, repaired, and as it was before") {
    const std::string link = link_path_of("middle");
    const struct {
      std::string file;
      std::function<void(int, const std::string&)> harm;
    } cases[] = {
        {"middle/link", [](int dir, const std::string& file) { sys::unlinkat(dir, file, 0); }},
        {"middle/lower", [](int dir, const std::string& file) { sys::unlinkat(dir, file, 0); }},
        {"top/lower",
         [](int dir, const std::string& file) {
           const std::string torn = content_of(dir, file).substr(0, 30);
           sys::unlinkat(dir, file, 0);
           put_file(dir, file, torn);
         }},
        {"middle/committed", [](int dir, const std::string& file) { sys::unlinkat(dir, file, 0); }},
        {link, [](int dir, const std::string& file) { sys::unlinkat(dir, file, 0); }},
        {link,
         [](int dir, const std::string& file) {
           sys::unlinkat(dir, file, 0);
           sys::symlinkat("../other/diff", dir, file);
         }},
    };
    for (const auto& [file, harm] : cases) {
      CAPTURE(file);
      harm(home().get(), file);
      const std::string damaged = tree();
      const StoreReport seen = check();
      REQUIRE(seen.count(Gravity::Damage) == 1);
      CHECK(seen.findings.front().file == file);
      CHECK(seen.findings.front().repair);
      CHECK(tree() == damaged);
      const StoreReport repaired = check({.repair = true});
      CHECK(repaired.repaired.size() == 1);
      CHECK(repaired.findings.empty());
      open();
      const std::string merged = get("top");
      CHECK(content_of(AT_FDCWD, merged + "/f") == "base");
      CHECK(content_of(AT_FDCWD, merged + "/g") == "middle");
      CHECK(content_of(AT_FDCWD, merged + "/h") == "top!");
      put("top");
      close();
    }
    open();
    remove_everything();
  }

  TEST_CASE_FIXTURE(CheckSandbox, "what cannot be repaired is named, kept, and not made worse") {
    sys::remove_tree(home().get(), "middle/diff");
    const std::string before = tree();
    const std::string expected =
        "damage middle middle: it has no 'diff' directory\n"
        "damage top top: it lies on the damaged layer 'middle'\n";
    CHECK(findings() == expected);
    CHECK(findings({.repair = true}) == expected);
    CHECK(tree() == before);
    open();
    remove_everything();
  }

  TEST_CASE_FIXTURE(CheckSandbox,
                    "leftovers are named, and repairing removes those nobody misses") {
    const UniqueFd dir = home();
    make_dirs(dir.get(), ".overlayd/staging/HALF/diff");
    make_dirs(dir.get(), ".overlayd/trash/OLD/diff");
    sys::symlinkat("../gone/diff", dir.get(), "l/AAAAAAAAAAAAAAAAAAAAAAAAAA");
    make_dirs(dir.get(), "top/merged");
    put_file(dir.get(), "top/merged/mine", "x");
    make_dirs(dir.get(), "other/partial");
    put_file(dir.get(), "base/size.new", "1");
    const std::string stays =
        "leftover other other/partial: an ApplyDiff did not finish, or is under way\n"
        "leftover top top/merged: holds files, though nothing is mounted there\n";
    CHECK(findings() ==
          "leftover base base/size.new: a file that was never finished\n"
          "leftover  l/AAAAAAAAAAAAAAAAAAAAAAAAAA: a link that no layer has\n" +
              stays +
              "leftover  .overlayd/staging/HALF: a layer that was never finished\n"
              "leftover  .overlayd/trash/OLD: what is left of a removed layer\n");
    CHECK(findings({.repair = true}) == stays);
    CHECK(content_of(dir.get(), "top/merged/mine") == "x");
    sys::remove_tree(dir.get(), "top/merged");
    open();
    remove_everything();
  }

  TEST_CASE_FIXTURE(CheckSandbox, "mounts that nobody serves and strangers' mounts are named") {
    open();
    get("top");
    close();
    make_dirs(home().get(), "lost+found/here");
    const std::string foreign = config.home.string() + "/lost+found/here";
    REQUIRE(::mount("none", foreign.c_str(), "tmpfs", 0, nullptr) == 0);
    CHECK(findings() ==
          "leftover  lost+found/here: a mount that is no layer's\n"
          "leftover top top/merged: mounted, though no process serves the store\n");
    REQUIRE(::umount(foreign.c_str()) == 0);
    sys::remove_tree(home().get(), "lost+found");
    open();
    put("top");
    remove_everything();
  }

  TEST_CASE_FIXTURE(CheckSandbox, "in a home of Docker's own driver mounts are its business") {
    open();
    get("top");
    close();
    sys::remove_tree(home().get(), layout::kOwnDirectory);
    CHECK(findings().empty());
    sys::unlinkat(home().get(), "middle/link", 0);
    CHECK(findings({.repair = true}).empty());
    CHECK(!sys::try_fstatat(home().get(), layout::kOwnDirectory));
    open();
    put("top");
    remove_everything();
  }

  TEST_CASE_FIXTURE(CheckSandbox, "a store that is served is not repaired") {
    open();
    sys::unlinkat(home().get(), "middle/link", 0);
    CHECK(error_of([&] { check({.repair = true}); }).starts_with("busy check the store in"));
    CHECK(check().count(Gravity::Damage) == 1);
    close();
    CHECK(check({.repair = true}).findings.empty());
    open();
    remove_everything();
  }

  TEST_CASE_FIXTURE(CheckSandbox, "a directory that is no store is not a healthy one") {
    make_dirs(fd(), "empty");
    CHECK(error_of([&] { check_store(path() + "/empty", {}); }).starts_with("not-found"));
    CHECK(error_of([&] { check_store(path() + "/absent", {}); }).starts_with("not-found"));
    open();
    remove_everything();
  }

  TEST_CASE_FIXTURE(CheckSandbox, "layers that an engine does not know are orphans") {
    make_dirs(fd(), "image/overlayd/layerdb/sha256/1111");
    make_dirs(fd(), "image/overlayd/layerdb/mounts/container");
    make_dirs(fd(), "image/overlayd/layerdb/tmp/write-set-1");
    put_file(fd(), "image/overlayd/layerdb/tmp/write-set-1/cache-id", "other");
    put_file(fd(), "image/overlayd/layerdb/sha256/1111/cache-id", "middle");
    const StoreCheckOptions options{.repair = false,
                                    .layer_database = path() + "/image/overlayd/layerdb"};
    const auto orphans = [&] {
      std::string text;
      for (const Orphan& orphan : check(options).orphans) {
        text += orphan.id.str() + "=" + std::to_string(orphan.bytes) + " ";
      }
      return text;
    };
    CHECK(orphans() == "other=5 top=4 ");
    put_file(fd(), "image/overlayd/layerdb/mounts/container/mount-id", "top");
    CHECK(orphans() == "other=5 ");
    make_dirs(fd(), "buildkit");
    put_file(fd(), "buildkit/snapshots.db", std::string("\0\1other\2", 8));
    CHECK(orphans().empty());
    CHECK(error_of([&] {
            check({.repair = false, .layer_database = path() + "/absent"});
          }).starts_with("not-found"));
    open();
    remove_everything();
  }

  TEST_CASE_FIXTURE(CheckSandbox, "layers that come and go meanwhile are no damage") {
    open();
    std::atomic<bool> stop = false;
    std::atomic<int> rounds = 0;
    std::thread engine([&] {
      while (!stop) {
        create("a", "other");
        create("b", "a");
        get("b");
        put("b");
        remove("b");
        remove("a");
        ++rounds;
      }
    });
    size_t damages = 0;
    {
      const ScopeExit end([&] {
        stop = true;
        engine.join();
      });
      for (int i = 0; i < 20; ++i) damages += check().count(Gravity::Damage);
      CHECK(eventually([&] { return rounds > 20; }));
    }
    CHECK(damages == 0);
    remove_everything();
  }

  TEST_CASE_FIXTURE(CheckSandbox,
                    "looking keeps no server from starting, and is not taken for one") {
    std::atomic<bool> stop = false;
    std::atomic<size_t> mistakes = 0;
    const auto look = [&] {
      const UniqueFd dir = home();
      while (!stop) mistakes += is_store_served(dir.get()) ? 1 : 0;
    };
    std::thread one(look), other(look);
    for (int i = 0; i < 10'000; ++i) mistakes += is_store_served(home().get()) ? 1 : 0;
    stop = true;
    one.join();
    other.join();
    CHECK(mistakes == 0);
    stop = false;
    std::thread third(look);
    for (int i = 0; i < 50; ++i) {
      CHECK(error_of([&] { open(); }).empty());
      close();
    }
    stop = true;
    third.join();
    open();
    remove_everything();
  }

  TEST_CASE_FIXTURE(CheckSandbox, "what is there only for an instant is no finding") {
    open();
    std::atomic<bool> stop = false;
    std::thread engine([&] {
      const UniqueFd dir = home();
      while (!stop) {
        const std::string link = layout::link_path(layout::random_link());
        sys::symlinkat("../soon/diff", dir.get(), link);
        sys::unlinkat(dir.get(), link, 0);
      }
    });
    for (int i = 0; i < 10; ++i) CHECK(findings().empty());
    stop = true;
    engine.join();
    remove_everything();
  }

  TEST_CASE_FIXTURE(CheckSandbox, "the exit status tells clean from damaged from unknown") {
    std::ostringstream out, err;
    const auto run = [&](const CheckOptions& options) {
      out.str({});
      err.str({});
      return run_check(options, out, err);
    };
    CHECK(run({.home = config.home}) == 0);
    CHECK(out.str() == "4 layers, 0 damages, 0 leftovers, 0 orphans\n");
    sys::unlinkat(home().get(), "middle/link", 0);
    CHECK(run({.home = config.home}) == 1);
    CHECK(out.str() ==
          "damage: 'middle/link': the file is missing or damaged (can be repaired)\n"
          "4 layers, 1 damages, 0 leftovers, 0 orphans\n");
    CHECK(run({.home = config.home, .json = true}) == 1);
    CHECK(out.str().find("\"file\": \"middle/link\"") != std::string::npos);
    CHECK(run({.home = config.home, .store = {.repair = true}}) == 0);
    CHECK(out.str() ==
          "repair: restored the 'link' file of layer 'middle'\n"
          "4 layers, 0 damages, 0 leftovers, 0 orphans\n");
    CHECK(run({.home = path() + "/absent"}) == 2);
    CHECK(out.str().empty());
    CHECK(err.str().find("absent") != std::string::npos);
    open();
    remove_everything();
  }
}

}  // namespace
}  // namespace overlayd::test
