// SPDX-License-Identifier: Apache-2.0
#include "core/store_listing.h"

#include <sys/stat.h>

#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "core/layout.h"
#include "core/sys.h"
#include "tests/unit/core/handmade_home.h"

namespace overlayd::test {
namespace {

using std::chrono::system_clock;

/// A chain with one of everything that is recorded.
struct RecordedChain : Chain {
  RecordedChain() {
    sys::mkdirat(dir.fd(), layout::kOwnDirectory, 0700);
    dir.write("middle/size", layout::format_size(1234));
    dir.write("other/removed", "");
    dir.write("top/digests", "");
    directory("top/merged");
    record();
  }

  // As if nothing had happened for a while.
  void record() { record_listing(dir.fd(), system_clock::now() + std::chrono::hours(1)); }

  // Until a change has another time than all before: the kernel may count in ticks.
  void let_time_pass() const {
    dir.write("clock", "");
    const system_clock::time_point before = time_of_change("clock");
    while (time_of_change("clock") == before) {
      std::this_thread::yield();
      dir.write("clock", "");
    }
  }
  system_clock::time_point time_of_change(const char* file) const {
    const struct timespec time = sys::fstatat(dir.fd(), file).st_ctim;
    return system_clock::time_point(std::chrono::seconds(time.tv_sec) +
                                    std::chrono::nanoseconds(time.tv_nsec));
  }

  // How many layers are as recorded. What is found must be what is there.
  size_t as_recorded() const {
    const StoreListing listing = read_listing_by_record(dir.fd()), truth = read_listing(dir.fd());
    CHECK(listing.layers == truth.layers);
    CHECK(listing.links == truth.links);
    CHECK(truth.as_recorded == 0);
    return listing.as_recorded;
  }
};

TEST_SUITE("store_listing") {
  TEST_CASE_FIXTURE(RecordedChain, "what is as recorded is not read again") {
    CHECK(as_recorded() == 4);
    load();
    CHECK(count == "info: found 4 layers, and read 0 of them\n");
    // The record is of no use to anybody else.
    CHECK((sys::fstatat(dir.fd(), layout::kListingFile).st_mode & 07777) == 0600);
  }

  TEST_CASE_FIXTURE(RecordedChain, "each change of a layer is seen") {
    const auto unlink = [&](const char* name) { sys::unlinkat(dir.fd(), name, 0); };
    const std::vector<std::pair<const char*, std::function<void()>>> changes = {
        {"another link of the same length", [&] { dir.write("middle/link", link('Z')); }},
        {"an empty link", [&] { dir.write("middle/link", ""); }},
        {"no link", [&] { unlink("middle/link"); }},
        {"another lower of the same length", [&] { dir.write("middle/lower", "l/" + link('D')); }},
        {"a torn lower", [&] { dir.write("middle/lower", "l/" + link('A').substr(3)); }},
        {"no lower", [&] { unlink("middle/lower"); }},
        {"another size of the same length", [&] { dir.write("middle/size", "4321\n"); }},
        {"no size", [&] { unlink("middle/size"); }},
        {"no mark", [&] { unlink("middle/committed"); }},
        {"another mark", [&] { dir.write("middle/removed", ""); }},
        {"digests", [&] { dir.write("middle/digests", ""); }},
        {"a mount point", [&] { directory("middle/merged"); }},
        {"an ApplyDiff", [&] { directory("middle/partial"); }},
        {"a file that was never finished", [&] { dir.write("middle/size.new", "1"); }},
        {"no content", [&] { sys::remove_tree(dir.fd(), "middle/diff"); }},
        {"no work directory", [&] { sys::remove_tree(dir.fd(), "middle/work"); }},
        {"a copy in its place",
         [&] {
           sys::remove_tree(dir.fd(), "middle");
           directory("middle");
           directory("middle/diff");
           dir.write("middle/link", link('B'));
         }},
        {"a file in its place",
         [&] {
           sys::remove_tree(dir.fd(), "middle");
           dir.write("middle", "");
         }},
        {"its removal", [&] { sys::remove_tree(dir.fd(), "middle"); }},
    };
    for (const auto& [what, change] : changes) {
      CAPTURE(what);
      let_time_pass();
      change();
      CHECK(as_recorded() == 3);
      // Made anew, and recorded again.
      sys::remove_tree(dir.fd(), "middle");
      sys::unlinkat(dir.fd(), layout::link_path(link('B')), 0);
      layer("middle", 'B', "A");
      dir.write("middle/committed", "");
      dir.write("middle/size", layout::format_size(1234));
      CHECK(as_recorded() == 3);
      record();
      CHECK(as_recorded() == 4);
    }
  }

  TEST_CASE_FIXTURE(RecordedChain, "each change of a link is seen") {
    const std::string path = layout::link_path(link('B'));
    const std::vector<std::pair<const char*, std::function<void()>>> changes = {
        {"none", [&] {}},
        {"one that leads elsewhere", [&] { link_to('B', "../other/diff"); }},
        {"a file in its place", [&] { dir.write(path, ""); }},
        {"a name that is none", [&] { sys::symlinkat("b ../x", dir.fd(), "l/n a"); }},
        {"one more",
         [&] {
           link_to('B', "../middle/diff");
           link_to('E', "../middle/diff");
         }},
    };
    for (const auto& [what, change] : changes) {
      CAPTURE(what);
      let_time_pass();
      sys::unlinkat(dir.fd(), path, 0);
      change();
      CHECK(as_recorded() == 4);
      record();  // what is no link of a layer's is looked at each time
      CHECK(as_recorded() == 4);
    }
    sys::remove_tree(dir.fd(), layout::kLinkDirectory);
    CHECK(as_recorded() == 4);
  }

  TEST_CASE_FIXTURE(RecordedChain, "a new layer is read, and recorded the next time") {
    layer("new", 'N', "DA");
    CHECK(as_recorded() == 3);  // `other` is marked now
    record();
    CHECK(as_recorded() == 5);
  }

  TEST_CASE_FIXTURE(Home, "threads that record many layers do not get into each other's way") {
    constexpr size_t kMany = 1000;
    sys::mkdirat(dir.fd(), layout::kOwnDirectory, 0700);
    for (size_t i = 0; i < kMany; ++i) {
      const std::string id = "layer-" + std::to_string(i);
      directory(id);
      directory(id + "/diff");
      dir.write(id + "/link", layout::random_link());
    }
    for (int times = 0; times < 3; ++times) {
      record_listing(dir.fd(), system_clock::now() + std::chrono::hours(1));
      CHECK(read_listing_by_record(dir.fd()).as_recorded == kMany);
    }
  }

  TEST_CASE_FIXTURE(RecordedChain, "what has only just changed is not recorded") {
    let_time_pass();
    dir.write("middle/size", layout::format_size(5678));
    const auto changed = time_of_change("middle/size");
    record_listing(dir.fd(), changed + std::chrono::seconds(1));
    CHECK(as_recorded() == 3);  // the others are as they were recorded before
    sys::unlinkat(dir.fd(), layout::kListingFile, 0);
    record_listing(dir.fd(), changed + std::chrono::seconds(1));
    CHECK(as_recorded() == 0);
    // A clock that was set back.
    record_listing(dir.fd(), changed - std::chrono::hours(1));
    CHECK(as_recorded() == 0);
    record_listing(dir.fd(), changed + std::chrono::seconds(2));
    CHECK(as_recorded() == 4);
  }

  TEST_CASE_FIXTURE(RecordedChain, "damage is not recorded") {
    for (const std::string& content : {std::string(), std::string(26, ' '), link('B') + "x"}) {
      CAPTURE(content);
      dir.write("middle/link", content);
      record();
      CHECK(as_recorded() == 3);
    }
    dir.write("top/lower", "l/" + link('B') + ":l/AAA");
    dir.write("other/size", "12");
    directory("base/partial");
    record();
    CHECK(as_recorded() == 0);
  }

  TEST_CASE_FIXTURE(RecordedChain, "an id may hold what separates others") {
    layer("with a space", 'S');
    layer("new\nline", 'T');
    record();
    CHECK(as_recorded() == 6);
  }

  TEST_CASE_FIXTURE(RecordedChain, "a damaged record counts as none") {
    const std::string whole = dir.read(layout::kListingFile);
    for (size_t length = 0; length < whole.size(); ++length) {
      dir.write(layout::kListingFile, whole.substr(0, length));
      REQUIRE(as_recorded() == 0);
    }
    for (size_t at = 0; at < whole.size(); ++at) {
      std::string damaged = whole;
      damaged[at] ^= 1;
      dir.write(layout::kListingFile, damaged);
      REQUIRE(as_recorded() == 0);
    }
    dir.write(layout::kListingFile, whole + "d");
    CHECK(as_recorded() == 0);
    dir.write(layout::kListingFile, whole);
    CHECK(as_recorded() == 4);
    sys::unlinkat(dir.fd(), layout::kListingFile, 0);
    directory(layout::kListingFile);
    CHECK(as_recorded() == 0);
  }
}

}  // namespace
}  // namespace overlayd::test
