// SPDX-License-Identifier: Apache-2.0
#include "core/layer_table.h"

#include <atomic>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "core/layer_files.h"
#include "core/layout.h"
#include "core/sys.h"
#include "tests/unit/core/handmade_home.h"

namespace overlayd::test {
namespace {

TEST_SUITE("layer_table") {
  TEST_CASE_FIXTURE(Home, "an empty home has no layers and nothing to say") {
    load();
    CHECK(table.size() == 0);
    CHECK(notes.text.empty());
  }

  TEST_CASE_FIXTURE(Chain, "a healthy store is loaded as the tree it is") {
    load();
    CHECK(notes.text.empty());
    CHECK(healthy() == "base middle other top");
    const auto top = table.find("top");
    REQUIRE(top);
    CHECK(top->depth == 2);
    CHECK(top->parent == table.find("middle"));
    CHECK(top->links() == std::vector<std::string>{link('C'), link('B'), link('A')});
    CHECK(top->chain().size() == 3);
    CHECK(top->children == 0);
    CHECK(table.find("middle")->children == 1);
    CHECK(table.find("base")->children == 2);
    CHECK(table.find("base")->parent == nullptr);
    CHECK(table.find("base")->committed);
    CHECK(table.find("middle")->committed);
    CHECK(!top->committed);
    CHECK(!top->unfinished);
    CHECK(!top->mounted);
    CHECK(top->holders == 0);
  }

  TEST_CASE("of those who make a layer of one id only one goes on at a time") {
    LayerTable table;
    constexpr int kThreads = 4, kTurns = 500;
    std::atomic<int> at_work = 0, clashes = 0, turns = 0;
    {
      std::vector<std::jthread> threads;
      for (int i = 0; i < kThreads; ++i) {
        threads.emplace_back([&] {
          for (int turn = 0; turn < kTurns; ++turn) {
            const auto claim = table.claim(LayerId::parse("same"));
            if (at_work.fetch_add(1) > 0) ++clashes;
            std::this_thread::yield();
            at_work.fetch_sub(1);
            ++turns;
          }
        });
      }
    }
    CHECK(clashes == 0);
    CHECK(turns == kThreads * kTurns);
  }

  TEST_CASE("layers of other ids are made meanwhile") {
    LayerTable table;
    const auto one = table.claim(LayerId::parse("one"));
    bool has_other = false;
    std::jthread([&] {
      const auto other = table.claim(LayerId::parse("other"));
      has_other = true;
    }).join();
    CHECK(has_other);
  }

  TEST_CASE_FIXTURE(Chain, "a child is found whatever order the names sort in") {
    layer("a-child-that-sorts-first", 'E', "CBA");
    load();
    CHECK(table.find("a-child-that-sorts-first")->depth == 3);
    CHECK(notes.text.empty());
  }

  TEST_CASE_FIXTURE(Chain, "an unfinished layer is not a damaged one") {
    directory("top/partial");
    load();
    CHECK(table.find("top")->unfinished);
    CHECK(damage("top").empty());
  }

  TEST_CASE_FIXTURE(Chain, "a recorded size counts only whole and for a committed layer") {
    dir.write("base/size", "4711\n");
    dir.write("middle/size", "47");
    dir.write("top/size", "4711\n");
    load();
    CHECK(notes.text == "info: removed the outdated size of layer 'top'\n");
    CHECK(table.find("base")->size == 4711);
    CHECK(!table.find("middle")->size);
    CHECK(!table.find("top")->size);
    CHECK(!sys::try_fstatat(dir.fd(), "top/size"));
  }

  TEST_CASE_FIXTURE(Chain, "a record of digests is known, unless the layer was never finished") {
    dir.write("base/digests", "");
    dir.write("top/digests", "");
    directory("top/partial");
    load();
    CHECK(table.find("base")->has_digests);
    CHECK(!table.find("middle")->has_digests);
    CHECK(!table.find("top")->has_digests);
  }

  TEST_CASE_FIXTURE(Chain, "a file that was never renamed into place goes") {
    dir.write("base/size.new", "47");
    dir.write("base/lower.new", "");
    directory("base/diff.new");
    dir.write("base/other.new", "not ours");
    load();
    CHECK(notes.text ==
          "info: removed the unfinished file 'base/lower.new'\n"
          "info: removed the unfinished file 'base/size.new'\n");
    CHECK(sys::try_fstatat(dir.fd(), "base/other.new"));
    CHECK(sys::try_fstatat(dir.fd(), "base/diff.new"));
  }

  TEST_CASE_FIXTURE(Chain, "a layer that is no parent after all has no recorded size") {
    const LayerId id = LayerId::parse("top");
    CHECK(mark_committed(dir.fd(), id));
    record_size(dir.fd(), id, 4711);
    CHECK(dir.read("top/size") == "4711\n");
    unmark_committed(dir.fd(), id);
    CHECK(!sys::try_fstatat(dir.fd(), "top/size"));
    CHECK(!sys::try_fstatat(dir.fd(), "top/committed"));
  }

  TEST_CASE_FIXTURE(Home, "a store of many layers is loaded as well") {
    constexpr size_t kMany = 1000;
    layer("base", 'A');
    dir.write("base/committed", "");
    for (size_t i = 0; i < kMany; ++i) {
      const std::string id = "layer" + std::to_string(i);
      directory(id);
      directory(id + "/diff");
      dir.write(id + "/link", layout::random_link());
      dir.write(id + "/lower", layout::format_lower({link('A')}));
    }
    load();  // makes the links
    load();
    CHECK(notes.text.empty());
    CHECK(table.size() == kMany + 1);
    CHECK(table.find("base")->children == kMany);
  }

  TEST_CASE_FIXTURE(Chain, "a table forgets only the very layer it is told to") {
    load();
    const auto old = table.find("top");
    table.erase(old);
    CHECK(!table.find("top"));
    CHECK(table.size() == 3);
    const auto fresh = std::make_shared<Layer>(LayerId::parse("top"), link('E'), nullptr);
    table.insert(fresh);
    table.erase(old);
    CHECK(table.find("top") == fresh);
  }

  TEST_CASE_FIXTURE(Chain, "a second load forgets the first") {
    load();
    sys::remove_tree(dir.fd(), "top");
    load();
    CHECK(!table.find("top"));
    CHECK(table.find("middle")->children == 0);
    CHECK(target('C').empty());
  }
}

}  // namespace
}  // namespace overlayd::test
