// SPDX-License-Identifier: Apache-2.0
#include "core/store_view.h"

#include <atomic>
#include <string>
#include <thread>

#include <doctest/doctest.h>

#include "core/error.h"
#include "core/mount_ledger.h"
#include "tests/support/tree_dump.h"
#include "tests/unit/core/handmade_home.h"

namespace overlayd::test {
namespace {

/// "base(middle(top) other) …", with kinds and states other than the usual ones.
std::string text_of(const StoreView& store, size_t i) {
  const LayerView& layer = store.layers[i];
  std::string text = layer.id.str();
  if (layer.kind != LayerKind::Layer) text += " " + std::string(to_string(layer.kind));
  if (layer.state() != LayerState::Ready) text += " " + std::string(to_string(layer.state()));
  std::string above;
  for (const size_t child : layer.children) {
    CHECK(store.layers[child].parent == i);
    CHECK(store.layers[child].depth == layer.depth + 1);
    above += (above.empty() ? "" : ", ") + text_of(store, child);
  }
  return above.empty() ? text : text + "(" + above + ")";
}

std::string text_of(const StoreView& store) {
  std::string text;
  for (size_t i = 0; i < store.layers.size(); ++i) {
    if (!store.layers[i].parent) text += (text.empty() ? "" : ", ") + text_of(store, i);
  }
  return text;
}

struct ViewedHome : Chain {
  StoreView view(const StoreViewOptions& options = {}) const {
    return view_store(dir.path(), options);
  }
  const LayerView& layer_in(const StoreView& store, const std::string& id) const {
    return store.layers[find_layer(store, id)];
  }
};

std::string error_of_finding(const StoreView& store, const std::string& text) {
  try {
    return "found " + store.layers[find_layer(store, text)].id.str();
  } catch (const Error& error) {
    return error.what();
  }
}

TEST_SUITE("store_view") {
  TEST_CASE_FIXTURE(ViewedHome,
                    "layers are seen with what is below and above, and left as they are") {
    const std::string before = tree_text(dir.fd());
    const StoreView store = view({.measure = true});
    CHECK(text_of(store) == "base(middle(top), other)");
    CHECK(!store.is_served);
    CHECK(!store.is_ours);
    CHECK(store.home == std::filesystem::canonical(dir.path()));
    CHECK(tree_text(dir.fd()) == before);
  }

  TEST_CASE_FIXTURE(ViewedHome,
                    "without an engine's database containers are known by their names") {
    layer("c-init", 'E', "CBA");
    layer("c", 'F', "ECBA");
    CHECK(text_of(view()) == "base(middle(top(c-init init(c container))), other)");
  }

  TEST_CASE_FIXTURE(ViewedHome, "with it, each is known for what the engine made it") {
    const TempDir root;
    for (const char* path : {"image", "image/d", "image/d/layerdb", "image/d/layerdb/sha256",
                             "image/d/layerdb/sha256/11", "image/d/layerdb/mounts",
                             "image/d/layerdb/mounts/22", "buildkit"}) {
      sys::mkdirat(root.fd(), path, 0755);
    }
    root.write("image/d/layerdb/sha256/11/cache-id", "middle");
    root.write("image/d/layerdb/mounts/22/mount-id", "mine");
    root.write("image/d/layerdb/mounts/22/init-id", "mine-init");
    root.write("buildkit/snapshots.db", std::string("\0cached\1", 8));
    layer("mine-init", 'E', "BA");
    layer("mine", 'F', "EBA");
    layer("cached", 'G');
    const StoreView store = view({.layer_database = root / "image/d/layerdb"});
    CHECK(text_of(store) ==
          "base(middle image(mine-init init(mine container), top orphan), other orphan), "
          "cached cache");
    REQUIRE(layer_in(store, "middle").user);
    CHECK(layer_in(store, "middle").user->name == "sha256:11");
    CHECK(layer_in(store, "mine").user->name == "22");
    CHECK(!layer_in(store, "base").user);
  }

  TEST_CASE_FIXTURE(ViewedHome, "damage and unfinished layers are told of, and the rest is whole") {
    sys::remove_tree(dir.fd(), "middle/diff");
    directory("other/partial");
    const StoreView store = view();
    CHECK(text_of(store) == "base(other unfinished), middle damaged(top damaged)");
    CHECK(layer_in(store, "middle").damage == "it has no 'diff' directory");
  }

  TEST_CASE_FIXTURE(ViewedHome,
                    "sizes are those recorded, and the others only if they are wanted") {
    dir.write("base/size", "5\n");
    dir.write("top/diff/file", "1234567");
    CHECK(layer_in(view(), "base").size == 5);
    CHECK(!layer_in(view(), "top").size);
    CHECK(layer_in(view({.measure = true}), "top").size == 7);
  }

  TEST_CASE_FIXTURE(ViewedHome,
                    "holders are read from the state directory, which is left as it is") {
    const TempDir state;
    CHECK(layer_in(view({.state_dir = state.path()}), "top").holders == 0U);
    CHECK(tree_dump(state.fd()).size() == 1);
    MountLedger(state.path()).record(LayerId::parse("top"), 3);
    const StoreView store = view({.state_dir = state.path()});
    CHECK(layer_in(store, "top").holders == 3U);
    CHECK(layer_in(store, "base").holders == 0U);
    CHECK(!layer_in(view(), "top").holders);
  }

  TEST_CASE_FIXTURE(ViewedHome, "what is damaged only for an instant is being made or removed") {
    std::atomic<bool> stop = false;
    std::thread engine([&] {
      for (int i = 0; !stop; ++i) {
        const std::string id = "new" + std::to_string(i);
        directory(id);
        dir.write(id + "/link", link('Z'));
        sys::remove_tree(dir.fd(), id);
      }
    });
    for (int i = 0; i < 10; ++i) CHECK(text_of(view()) == "base(middle(top), other)");
    stop = true;
    engine.join();
  }

  TEST_CASE_FIXTURE(ViewedHome, "a layer is found by the beginning of its id") {
    layer("abc-init", 'E');
    layer("abc", 'F');
    layer("abd", 'G');
    const StoreView store = view();
    CHECK(error_of_finding(store, "mid") == "found middle");
    CHECK(error_of_finding(store, "abc") == "found abc");
    CHECK(error_of_finding(store, "abc-") == "found abc-init");
    sys::remove_tree(dir.fd(), "abd");
    CHECK(error_of_finding(view(), "a") == "found abc");
    CHECK(error_of_finding(view(), "a-init") == "found abc-init");
    CHECK(error_of_finding(store, "ab") == "'ab' may be 3 layers, such as 'abc' and 'abc-init'");
    CHECK(error_of_finding(store, "x") == "there is no layer 'x'");
    CHECK(error_of_finding(store, "") == "there is no layer ''");
  }

  TEST_CASE_FIXTURE(ViewedHome, "the disk is counted by layers, by what they lie on, and in all") {
    dir.write("middle/diff/file", std::string(100'000, 'x'));
    const StoreView store = view();
    size_t told = 0;
    const StoreUsage usage = measure_usage(store, [&](size_t layers, uint64_t) { told = layers; });
    const size_t base = find_layer(store, "base"), middle = find_layer(store, "middle"),
                 top = find_layer(store, "top");
    CHECK(told == store.layers.size() - 1);
    CHECK(usage.own[middle] == disk_usage(dir.fd(), "middle"));
    CHECK(usage.own[middle] == layer_usage(store, middle));
    CHECK(usage.own[middle].bytes > 100'000);
    DiskUsage below = usage.own[base];
    below += usage.own[middle];
    CHECK(usage.below[base] == DiskUsage{});
    CHECK(usage.below[top] == below);
    CHECK(usage.total == disk_usage(dir.fd(), "."));
  }

  TEST_CASE("a directory that is no store is not an empty one") {
    const TempDir dir;
    CHECK_THROWS_WITH_AS(view_store(dir.path()),
                         doctest::Contains("there is no store: neither layers nor"), Error);
    CHECK_THROWS_AS(view_store(dir / "absent"), SysError);
  }
}

}  // namespace
}  // namespace overlayd::test
