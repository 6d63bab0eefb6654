// SPDX-License-Identifier: Apache-2.0
#include "core/store_view.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <thread>

#include <doctest/doctest.h>

#include "core/layer_overlay.h"
#include "core/layout.h"
#include "core/mount_namespaces.h"
#include "core/store_means.h"
#include "core/sys.h"
#include "tests/integration/overlay_fixture.h"
#include "tests/integration/store_fixture.h"

namespace overlayd::test {
namespace {

/// A store of a base and a layer on it, open.
struct ViewSandbox : StoreSandbox {
  ViewSandbox() {
    open();
    create_with("base", "", "f", "base");
    create_with("top", "base", "g", "top");
  }

  StoreView view() const {
    return view_store(config.home, {.state_dir = config.state_dir, .measure = true});
  }
  LayerView layer(const std::string& id) const {
    const StoreView seen = view();
    return seen.layers[find_layer(seen, id)];
  }
  /// Runs what would mount the layer in a shell.
  void mount_by_hand(const std::string& id) const {
    const LayerView seen = layer(id);
    const MountCommand command =
        mount_command(config.home, seen.id, seen.record.committed, seen.record.lowers());
    CAPTURE(command.line);
    // NOLINTNEXTLINE(cert-env33-c): it is made for a shell
    REQUIRE(std::system(command.line.c_str()) == 0);
  }
  std::string in_merged(const std::string& id, const std::string& file) const {
    return content_of(home().get(), id + "/merged/" + file);
  }
  void unmount_by_hand(const std::string& id) const {
    REQUIRE(::umount((config.home / id / "merged").c_str()) == 0);
    sys::unlinkat(home().get(), id + "/merged", AT_REMOVEDIR);
  }
};

TEST_SUITE("store_view") {
  TEST_CASE_FIXTURE(ViewSandbox, "mounts and holders are those of the moment") {
    CHECK(view().is_served);
    CHECK(view().is_ours);
    CHECK(!mounted("top"));
    CHECK(layer("top").state() == LayerState::Ready);
    get("top");
    get("top");
    const LayerView top = layer("top");
    CHECK(top.state() == LayerState::Mounted);
    CHECK(top.holders == 2U);
    REQUIRE(top.mounts.size() == 1);
    CHECK(top.mounts[0].mount_point == config.home / "top/merged");
    CHECK(top.size == 3);
    CHECK(layer("base").mounts.empty());
    close();
    CHECK(!view().is_served);
    CHECK(layer("top").state() == LayerState::Mounted);
    open();
    put("top");
    put("top");
    CHECK(!mounted("top"));
    CHECK(layer("top").state() == LayerState::Ready);
    CHECK(layer("top").holders == 0U);
    remove_everything();
  }

  TEST_CASE_FIXTURE(ViewSandbox, "who has a layer mounted is found in every mount namespace") {
    get("top");
    const MountEntry mount = layer("top").mounts.at(0);
    // A thread in a namespace of its own shows in /proc only as a task: another process is needed.
    int ready[2], done[2];
    REQUIRE(::pipe2(ready, O_CLOEXEC) == 0);
    REQUIRE(::pipe2(done, O_CLOEXEC) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
      char byte = ::unshare(CLONE_NEWNS) == 0 ? 'y' : 'n';
      if (::write(ready[1], &byte, 1) != 1 || ::read(done[0], &byte, 1) < 0) ::_exit(1);
      ::_exit(0);
    }
    const UniqueFd owners[] = {UniqueFd(ready[0]), UniqueFd(ready[1]), UniqueFd(done[0]),
                               UniqueFd(done[1])};
    char answer = 0;
    REQUIRE(::read(ready[0], &answer, 1) == 1);
    CHECK(answer == 'y');
    size_t own = 0, others = 0;
    for (const MountNamespace& space : read_mount_namespaces()) {
      const bool has_it = std::ranges::any_of(
          space.mounts, [&](const MountEntry& entry) { return show_the_same(entry, mount); });
      const auto has_process = [&](pid_t pid) {
        return std::ranges::count(space.processes, pid) > 0;
      };
      if (has_it && space.is_own && has_process(::getpid())) ++own;
      if (has_it && !space.is_own && has_process(child)) ++others;
    }
    CHECK(own == 1);
    CHECK(others == 1);
    REQUIRE(::write(done[1], "x", 1) == 1);
    REQUIRE(::waitpid(child, nullptr, 0) == child);
    put("top");
    remove_everything();
  }

  TEST_CASE_FIXTURE(ViewSandbox, "the mount command mounts what the store would") {
    create_with("many0", "top", "h0", "0");
    for (int i = 1; i < 12; ++i) {
      const std::string name = std::to_string(i);
      create_with("many" + name, "many" + std::to_string(i - 1), "h" + name, name);
    }
    close();
    mount_by_hand("many11");
    CHECK(in_merged("many11", "f") == "base");
    CHECK(in_merged("many11", "g") == "top");
    CHECK(in_merged("many11", "h11") == "11");
    put_file(home().get(), "many11/merged/new", "new");
    unmount_by_hand("many11");
    CHECK(content_of(home().get(), "many11/diff/new") == "new");
    mount_by_hand("top");
    CHECK(in_merged("top", "f") == "base");
    CHECK(in_merged("top", "g") == "top");
    unmount_by_hand("top");
    mount_by_hand("base");
    CHECK(in_merged("base", "f") == "base");
    unmount_by_hand("base");
    open();
    remove_everything();
  }

  TEST_CASE_FIXTURE(ViewSandbox, "a mount below a layer is not counted as the layer's") {
    const StoreView seen = view();
    const DiskUsage before = measure_usage(seen).total;
    get("top");
    const uint64_t inodes = measure_usage(seen).total.inodes;
    CHECK(inodes <= before.inodes + 1);  // the index of an overlay's work directory
    get("base");
    CHECK(measure_usage(seen).total.inodes == inodes);
    put("base");
    put("top");
    remove_everything();
  }

  TEST_CASE_FIXTURE(ViewSandbox, "what a store would be served with is found without writing") {
    const StoreMeans means = find_store_means(config.home);
    CHECK(means.filesystem == "tmpfs");
    CHECK(means.bytes > means.free_bytes);
    CHECK(means.commit.method == CommitMethod::Syncfs);
    CHECK(means.mount_method == store->status().mount_method);
    remove_everything();
    close();
    sys::remove_tree(home().get(), layout::kOwnDirectory);
    CHECK(!find_store_means(config.home).mount_method);
    CHECK(sys::list_directory(home().get()).size() == 1);
  }

  TEST_CASE_FIXTURE(ViewSandbox,
                    "layers that come and go meanwhile are neither damaged nor an error") {
    std::atomic<bool> stop = false;
    std::atomic<int> rounds = 0;
    std::thread engine([&] {
      while (!stop) {
        create_with("a", "top", "x", "x");
        create("b", "a");
        get("b");
        put("b");
        remove("b");
        remove("a");
        ++rounds;
      }
    });
    size_t damaged = 0;
    for (int i = 0; i < 50 || rounds < 20; ++i) {
      const StoreView seen = view();
      damaged += static_cast<size_t>(std::ranges::count_if(
          seen.layers, [](const LayerView& layer) { return !layer.damage.empty(); }));
      CHECK(measure_usage(seen).total.unread == 0);
    }
    stop = true;
    engine.join();
    CHECK(damaged == 0);
    remove_everything();
  }
}

}  // namespace
}  // namespace overlayd::test
