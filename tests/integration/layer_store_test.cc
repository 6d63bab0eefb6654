// SPDX-License-Identifier: Apache-2.0
#include "core/layer_store.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <new>
#include <random>
#include <set>
#include <thread>

#include <doctest/doctest.h>

#include "core/layout.h"
#include "core/mount.h"
#include "core/store_listing.h"
#include "core/sys.h"
#include "core/tar_reader.h"
#include "core/whiteout.h"
#include "core/xattr.h"
#include "tests/integration/overlay_fixture.h"
#include "tests/integration/store_fixture.h"
#include "tests/support/tar_builder.h"
#include "tests/support/tree_dump.h"

namespace overlayd::test {
namespace {

std::string one_file(const std::string& name = "f", const std::string& content = "content") {
  return TarBuilder().file(name, content).end().str();
}

/// A sender that gives what it is told to give, when it is told.
class SlowSource final : public ByteSource {
 public:
  explicit SlowSource(std::string text) : text_(std::move(text)) {}

  size_t read(std::span<std::byte> buffer) override {
    std::unique_lock lock(mutex_);
    started_ = true;
    changed_.notify_all();
    changed_.wait(lock, [&] { return released_ || broken_; });
    if (broken_) throw Error(ErrorKind::Aborted, "the sender went away");
    lock.unlock();
    return source_.read(buffer);
  }

  void wait_until_started() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return started_; });
  }
  void release() { set(released_); }
  void hang_up() { set(broken_); }

 private:
  void set(bool& flag) {
    const std::lock_guard lock(mutex_);
    flag = true;
    changed_.notify_all();
  }

  std::string text_;
  StringSource source_{text_};
  std::mutex mutex_;
  std::condition_variable changed_;
  bool started_ = false, released_ = false, broken_ = false;
};

/// A receiver that takes a first piece and then waits.
class SlowSink final : public ByteSink {
 public:
  void write(std::span<const std::byte> bytes) override {
    started.store(true);
    started.notify_all();
    released.wait(false);
    inner.write(bytes);
  }
  void release() {
    released.store(true);
    released.notify_all();
  }

  StringSink inner;
  std::atomic<bool> started = false, released = false;
};

/// A child process that stays until it is told to go.
class Child {
 public:
  /// `work` runs in the child; the parent goes on when it is done. Its failure fails the test.
  explicit Child(const std::function<void()>& work) {
    std::array<int, 2> ready{}, leave{};
    REQUIRE(::pipe2(ready.data(), O_CLOEXEC) == 0);
    REQUIRE(::pipe2(leave.data(), O_CLOEXEC) == 0);
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    char byte = 'n';
    if (pid_ == 0) {
      ::close(leave[1]);
      try {
        work();
        byte = 'y';
      } catch (...) {
      }
      const bool told = ::write(ready[1], &byte, 1) == 1;
      while (told && ::read(leave[0], &byte, 1) < 0) {
      }
      ::_exit(0);
    }
    ::close(ready[1]);
    ::close(leave[0]);
    const bool done = ::read(ready[0], &byte, 1) == 1 && byte == 'y';
    ::close(ready[0]);
    leave_ = UniqueFd(leave[1]);
    CHECK(done);
  }
  ~Child() { finish(); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void finish() { end(0); }
  void kill() { end(SIGKILL); }

 private:
  void end(int signal) {
    if (pid_ <= 0) return;
    if (signal != 0) ::kill(pid_, signal);
    leave_.reset();
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

  pid_t pid_ = 0;
  UniqueFd leave_;
};

struct LayerStoreSandbox : StoreSandbox {
  LayerStoreSandbox() { open(); }
  ~LayerStoreSandbox() { close(); }

  /// "0710 0:0", "" if absent.
  std::string owner_and_mode(const std::string& name) const {
    const auto info = sys::try_fstatat(home().get(), name);
    if (!info) return "";
    std::array<char, 64> text{};
    std::snprintf(text.data(), text.size(), "%04o %u:%u", info->st_mode & 07777U, info->st_uid,
                  info->st_gid);
    return text.data();
  }
  bool present(const std::string& name) const {
    return sys::try_fstatat(home().get(), name).has_value();
  }
  std::string link_of(const std::string& id) const {
    return content_of(home().get(), id + "/link");
  }
  size_t staged() const {
    return sys::list_directory(sys::open_path_dir(home().get(), layout::kStagingDirectory).get())
        .size();
  }
  size_t links() const {
    return sys::list_directory(sys::open_path_dir(home().get(), "l").get()).size();
  }
  std::string record_of(const std::string& id) const {
    return content_of(fd(), "state/mounts/" + id);
  }
  void put_in(const std::string& directory, const std::string& name, const std::string& content) {
    put_file(sys::open_path_dir(AT_FDCWD, directory).get(), name, content);
  }
  int write_errno(const std::string& directory) {
    const std::string path = directory + "/probe";
    const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    if (!file) return errno;
    ::unlink(path.c_str());
    return 0;
  }
  /// What a process that is killed leaves behind, while this one has no store open.
  void as_killed_process(const std::function<void()>& work) {
    close();
    {
      Child child([&] {
        open();
        work();
      });
      child.kill();
    }
    open();
  }
  static int write_to(const std::string& directory, const std::string& name) {
    const std::string path = directory + "/" + name;
    const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    return file && ::write(file.get(), "x", 1) == 1 ? 0 : errno;
  }
  bool apply_and_diff(const std::string& id) {
    create(id);
    apply(id, one_file());
    return diff(id).find("content") != std::string::npos;
  }
  static std::string error(const std::function<void()>& work) { return error_of(work); }
};

/// Runs `work` in a fresh store for each way to mount that this kernel has.
void for_each_method(StoreSandbox& box, const std::function<void()>& work) {
  for (const OverlaySupport& support : usable_methods(box.fd())) {
    CAPTURE(to_string(support.method));
    box.config.mount_method = support.method;
    box.open();
    CHECK(box.store->status().mount_method == support.method);
    work();
    box.remove_everything();
  }
}

TEST_SUITE("layer_store") {
  // ------------------------------------------------------------------------------------- create

  TEST_CASE_FIXTURE(LayerStoreSandbox, "a store and its layers look on disk as Docker's do") {
    create("base");
    create("middle", "base");
    create("top", "middle");
    CHECK(owner_and_mode(".") == "0710 0:0");
    CHECK(owner_and_mode("l") == "0700 0:0");
    for (const char* id : {"base", "middle", "top"}) {
      CAPTURE(id);
      const std::string name = id;
      CHECK(owner_and_mode(name) == "0710 0:0");
      CHECK(owner_and_mode(name + "/diff") == "0755 0:0");
      CHECK(owner_and_mode(name + "/link") == "0644 0:0");
      CHECK(link_of(id).size() == 26);
      CHECK(sys::readlinkat(home().get(), "l/" + link_of(id)) == "../" + name + "/diff");
      CHECK(!present(name + "/merged"));
    }
    CHECK(!present("base/lower"));
    CHECK(!present("base/work"));
    CHECK(owner_and_mode("middle/work") == "0700 0:0");
    CHECK(owner_and_mode("middle/lower") == "0644 0:0");
    CHECK(content_of(home().get(), "middle/lower") == "l/" + link_of("base"));
    CHECK(content_of(home().get(), "top/lower") ==
          "l/" + link_of("middle") + ":l/" + link_of("base"));
    CHECK(owner_and_mode("base/committed") == "0600 0:0");
    CHECK(owner_and_mode("middle/committed") == "0600 0:0");
    CHECK(content_of(home().get(), "base/committed").empty());
    CHECK(!present("top/committed"));
    get("top");
    CHECK(owner_and_mode("top/merged") == "0755 0:0");
    CHECK(owner_and_mode("top/work/work") == "0000 0:0");
    put("top");
    CHECK(!mounted("top"));
    CHECK(!present("top/merged"));
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "what the umask says changes no mode") {
    const mode_t old = ::umask(0077);
    config.home = path() + "/other";
    open();
    create("base");
    create("top", "base");
    ::umask(old);
    CHECK(owner_and_mode(".") == "0710 0:0");
    CHECK(owner_and_mode("top") == "0710 0:0");
    CHECK(owner_and_mode("top/diff") == "0755 0:0");
    CHECK(owner_and_mode("top/link") == "0644 0:0");
    CHECK(owner_and_mode("top/lower") == "0644 0:0");
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "a create that fails leaves nothing") {
    create("base");
    const std::string before = tree_text(home().get());
    const CreateOptions size{.storage_options = {{"size", "1G"}}, .is_writable = true};
    const CreateOptions read_only{.storage_options = {{"size", "1G"}}};
    const CreateOptions unknown{.storage_options = {{"colour", "red"}}};
    const LayerId base = id_of("base"), absent = id_of("absent"), fresh = id_of("new");
    CHECK(error([&] { store->create(base, nullptr, {}); }).starts_with("already-exists"));
    CHECK(error([&] { store->create(base, &base, {}); }).starts_with("already-exists"));
    CHECK(error([&] { store->create(fresh, &absent, {}); }).starts_with("not-found"));
    CHECK(error([&] { store->create(fresh, &fresh, {}); }).starts_with("not-found"));
    CHECK(
        error([&] { store->create(fresh, &base, size); }) ==
        "unsupported layers cannot be limited here: its file system (tmpfs) has no project quotas "
        "switched on: of the file systems that layers can lie on, xfs and ext4 can have them");
    CHECK(error([&] { store->create(fresh, &base, read_only); }).starts_with("invalid-argument"));
    CHECK(error([&] {
            store->create(fresh, &base, unknown);
          }).starts_with("invalid-argument storage option 'colour'"));
    CHECK(trash_empties());
    CHECK(tree_text(home().get()) == before);
    CHECK(!exists("new"));
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "an id that a foreign file has is taken and undone") {
    create("base");
    put_file(home().get(), "foreign", "not ours");
    const std::string before = tree_text(home().get());
    CHECK(error([&] { create("foreign", "base"); }).starts_with("already-exists"));
    CHECK(trash_empties());
    CHECK(tree_text(home().get()) == before);
    CHECK(write_errno(get("base")) == 0);  // did not become a parent
    put("base");
    CHECK(apply("base", one_file()) == 7);
    sys::unlinkat(home().get(), "foreign", 0);
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "the deepest chain can be mounted and one more is refused") {
    for_each_method(*this, [&] {
      const size_t limit = store->status().max_lowers;
      create_with("0", "", "bottom", "here");
      for (size_t i = 1; i <= limit; ++i) create(std::to_string(i), std::to_string(i - 1));
      const std::string last = std::to_string(limit);
      const std::string error = error_of([&] { create("over", last); });
      CHECK(error.starts_with("invalid-argument max depth exceeded"));
      CHECK(error.find(last) != std::string::npos);
      CHECK(!exists("over"));
      CHECK(staged() == 0);
      put_in(get(last), "new", "x");
      CHECK(content_of(AT_FDCWD, get(last) + "/bottom") == "here");
      put(last);
      put(last);
      // Read-only with itself among the lowers.
      const std::string below = std::to_string(limit - 1);
      CHECK(content_of(AT_FDCWD, get(below) + "/bottom") == "here");
      put(below);
      open();
      CHECK(content_of(AT_FDCWD, get(last) + "/new") == "x");
      put(last);
    });
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "a chain too deep for the method in use says so at get") {
    const auto methods = usable_methods(fd());
    const auto is_deep = [](const OverlaySupport& s) { return s.max_lowers > kMaxClassicLowers; };
    const auto deep = std::find_if(methods.begin(), methods.end(), is_deep);
    if (deep == methods.end()) return;
    config.mount_method = deep->method;
    open();
    create("0");
    for (size_t i = 1; i <= kMaxClassicLowers + 1; ++i) {
      create(std::to_string(i), std::to_string(i - 1));
    }
    config.mount_method = MountMethod::Classic;
    open();
    const std::string last = std::to_string(kMaxClassicLowers + 1);
    CHECK(error([&] { get(last); }).starts_with("invalid-argument mount layer '129': "));
    CHECK(!present(last + "/merged"));
    CHECK(record_of(last).empty());
    put(last);
    remove_everything();
  }

  // ----------------------------------------------------------------------------- metadata, status

  TEST_CASE_FIXTURE(LayerStoreSandbox, "metadata names all directories") {
    create("base");
    create("middle", "base");
    create("top", "middle");
    const std::string home_path = config.home;
    const LayerMetadata top = store->metadata(id_of("top"));
    CHECK(top.upper == home_path + "/top/diff");
    CHECK(top.work == home_path + "/top/work");
    CHECK(top.merged == home_path + "/top/merged");
    CHECK(top.lowers ==
          std::vector<std::filesystem::path>{home_path + "/middle/diff", home_path + "/base/diff"});
    const LayerMetadata base = store->metadata(id_of("base"));
    CHECK(base.work == home_path + "/base/work");
    CHECK(base.lowers.empty());
    CHECK(error([&] { store->metadata(id_of("absent")); }).starts_with("not-found"));
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "status counts layers and mounts") {
    create("base");
    create("top", "base");
    CHECK(store->status().backing_filesystem == "tmpfs");
    CHECK(store->status().supports_d_type);
    CHECK(store->status().layers == 2);
    CHECK(store->status().mounted == 0);
    CHECK(store->idle());
    get("top");
    CHECK(store->status().mounted == 1);
    CHECK(!store->idle());
    put("top");
    CHECK(store->status().mounted == 0);
    CHECK(store->idle());
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "status counts layers that an ApplyDiff left unfinished") {
    create("base");
    create("broken");
    apply("base", TarBuilder().file("f", "x").end().str());
    CHECK(error([&] { apply("broken", "no tar"); }) != "");
    CHECK(store->status().unfinished == 1);
    CHECK(eventually([&] { return store->status().trash == 0; }));
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "the observer hears how many entries came and went") {
    create("base");
    create("broken");
    apply("base", TarBuilder().file("f", "x").file("g", "y").end().str());
    CHECK(notes.entries_applied == 2);
    CHECK(error([&] {
            apply("broken", TarBuilder().file("f", "x").file("g", "y").break_checksum().str());
          }) != "");
    CHECK(notes.entries_applied == 2);
    diff("base");
    CHECK(notes.entries_sent == 2);
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "what is damaged is counted and the rest is served") {
    create_with("base", "", "f", "x");
    create("middle", "base");
    create("top", "middle");
    create("other", "base");
    close();
    // Its link file could be restored; its content could not.
    sys::remove_tree(home().get(), "middle/diff");
    sys::unlinkat(home().get(), "other/link", 0);
    open();
    CHECK(store->status().damaged == std::vector<std::string>{"middle", "top"});
    CHECK(store->status().layers == 4);
    CHECK(error([&] { get("top"); }).starts_with("corrupt"));
    CHECK(content_of(AT_FDCWD, get("other") + "/f") == "x");
    put("other");
    create("next", "other");
    remove_everything();
    CHECK(store->status().damaged.empty());
  }

  // -------------------------------------------------------------------------------------- get, put

  TEST_CASE_FIXTURE(LayerStoreSandbox, "a layer stays mounted at one path until the last put") {
    for_each_method(*this, [&] {
      create_with("base", "", "f", "base");
      create("top", "base");
      const std::string merged = get("top");
      CHECK(merged == config.home.string() + "/top/merged");
      CHECK(get("top") == merged);
      CHECK(get("top") == merged);
      CHECK(content_of(AT_FDCWD, merged + "/f") == "base");
      put_in(merged, "f", "changed");
      put("top");
      put("top");
      CHECK(mounted("top"));
      CHECK(content_of(AT_FDCWD, merged + "/f") == "changed");
      put("top");
      CHECK(!mounted("top"));
      CHECK(!sys::try_fstatat(home().get(), "top/merged"));
      CHECK(content_of(home().get(), "base/diff/f") == "base");
      CHECK(content_of(home().get(), "top/diff/f") == "changed");
    });
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "what was just unmounted can be mounted and removed") {
    for_each_method(*this, [&] {
      create("base");
      create("middle", "base");
      for (int i = 0; i < 50; ++i) {
        put_in(get("middle"), "f" + std::to_string(i), "x");
        put("middle");
      }
      create("top", "middle");
      get("top");
      put("top");
      put_in(get("top"), "f", "x");
      CHECK(sys::list_directory(sys::open_path_dir(AT_FDCWD, get("top")).get()).size() == 51);
      put("top");
      put("top");
      remove("top");
      create("top", "middle");
      CHECK(write_errno(get("top")) == 0);
      put("top");
    });
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "what nobody holds is unmounted behind the caller's back") {
    create("base");
    create("top", "base");
    const auto is_unmounted = [&] { return !is_mount_point(home().get(), "top/merged"); };
    get("top");
    put("top");
    CHECK(eventually(is_unmounted));
    CHECK(eventually([&] { return record_of("top").empty(); }));
    get("top");
    put("top");
    close();
    CHECK(is_unmounted());
    // A kill came before it.
    open();
    get("top");
    close();
    put_file(fd(), "state/mounts/top", "0000000000\n");
    open();
    CHECK(eventually(is_unmounted));
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "what was just put is in nobody's way") {
    create("base");
    create("top", "base");
    for (int i = 0; i < 100; ++i) {  // more than wait for their time
      const std::string id = "other" + std::to_string(i);
      create(id, "base");
      put_in(get(id), "f", "x");
      put(id);
    }
    put_in(get("top"), "f", "x");
    put("top");
    create("child", "top");
    get("child");
    CHECK(!is_mount_point(home().get(), "top/merged"));  // one of its lowers
    put("child");
    create("middle", "base");
    get("middle");
    put("middle");
    create("on middle", "middle");
    CHECK(write_errno(get("middle")) == EROFS);
    put("middle");
    create("filled", "base");
    get("filled");
    put("filled");
    CHECK(apply("filled", one_file(), "base") == 7);
    get("filled");
    put("filled");
    remove("filled");
    CHECK(!notes.contains("mounted"));
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "who comes at once gets the mount that is there") {
    create("base");
    create("top", "base");
    const std::string merged = config.home.string() + "/top/merged";
    const std::string dir = merged + "/dir";
    // On a busy machine not every time.
    CHECK(eventually([&] {
      get("top");
      sys::mkdirat(AT_FDCWD, dir, 0755);
      REQUIRE(::mount("tmpfs", dir.c_str(), "tmpfs", 0, nullptr) == 0);
      put("top");
      CHECK(get("top") == merged);
      if (is_mount_point(AT_FDCWD, dir)) return true;
      put("top");
      return false;
    }));
    CHECK(record_of("top") == "0000000001\n");
    CHECK(mounted("top"));
    CHECK(is_mount_point(AT_FDCWD, dir));  // it is not leaving any more
    put("top");
    CHECK(!mounted("top"));
    get("top");
    CHECK(!is_mount_point(AT_FDCWD, dir));
    put("top");
    // Not with another label, which only SELinux would take.
    CHECK(error([&] { store->get(id_of("top"), "label"); }).starts_with("unsupported"));
    CHECK(!is_mount_point(home().get(), "top/merged"));
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "what cannot be unmounted is tried again") {
    create("base");
    create("top", "base");
    const auto has_failed = [&] {
      return notes.contains("stays mounted, though nobody holds it: ");
    };
    const std::string merged = config.home.string() + "/top/merged";
    // Somebody covers the home, in time but on a busy machine.
    CHECK(eventually([&] {
      get("top");
      put("top");
      REQUIRE(::mount("tmpfs", config.home.c_str(), "tmpfs", 0, nullptr) == 0);
      CHECK(eventually([&] { return has_failed() || record_of("top").empty(); }));
      REQUIRE(unmount_lazily(AT_FDCWD, config.home.string()));
      return has_failed();
    }));
    CHECK(mounted("top"));
    CHECK(get("top") == merged);
    put("top");
    CHECK(!mounted("top"));
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "a closed store keeps no file system busy") {
    make_dirs(fd(), "disk");
    const std::string disk = path() + "/disk";
    REQUIRE(::mount("tmpfs", disk.c_str(), "tmpfs", 0, "mode=0755") == 0);
    config.home = disk + "/home";
    open();
    create("base");
    for (int i = 0; i < 40; ++i) {
      const std::string id = "top" + std::to_string(i);
      create(id, "base");
      put_in(get(id), "f", "x");
      put(id);
    }
    close();
    CHECK(::umount2(disk.c_str(), 0) == 0);
    config.home = path() + "/home";
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox,
                    "puts that nobody owes are a success and take nothing away") {
    create("base");
    create("top", "base");
    put("top");
    put("base");
    put("absent");
    const std::string merged = get("top");
    put("base");
    CHECK(mounted("top"));
    put("top");
    put("top");
    put("top");
    get("top");  // the surplus is not remembered
    CHECK(mounted("top"));
    put("top");
    CHECK(!mounted("top"));
    CHECK(error([&] { get("absent"); }).starts_with("not-found"));
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox,
                    "a layer on nothing is its own directory until it has a child") {
    for_each_method(*this, [&] {
      create("base");
      const std::string diff_path = config.home.string() + "/base/diff";
      CHECK(get("base") == diff_path);
      put_in(diff_path, "f", "x");
      CHECK(!mounted("base"));
      create("child", "base");
      // Who holds it keeps the path, and so does who joins.
      CHECK(get("base") == diff_path);
      put("base");
      put("base");
      const std::string merged = get("base");
      CHECK(merged == config.home.string() + "/base/merged");
      CHECK(content_of(AT_FDCWD, merged + "/f") == "x");
      CHECK(write_errno(merged) == EROFS);
      put("base");
      CHECK(!mounted("base"));
      // Read-only for good, as Docker's marker says.
      remove("child");
      CHECK(write_errno(get("base")) == EROFS);
      put("base");
    });
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "a layer with children is mounted read-only") {
    for_each_method(*this, [&] {
      create_with("base", "", "f", "base");
      create("middle", "base");
      const std::string merged = get("middle");
      put_in(merged, "m", "middle");
      create("top", "middle");
      CHECK(write_errno(merged) == 0);  // whoever had it mounted before keeps it so
      put("middle");
      CHECK(get("middle") == merged);
      CHECK(write_errno(merged) == EROFS);
      CHECK(content_of(AT_FDCWD, merged + "/m") == "middle");
      CHECK(content_of(AT_FDCWD, merged + "/f") == "base");
      put("middle");
    });
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox,
                    "a mount that fails leaves no trace and can be tried again") {
    create("base");
    create("top", "base");
    const UniqueFd dir = home();
    sys::renameat(dir.get(), "top/work", dir.get(), "top/away");
    CHECK(error([&] { get("top"); }).find("mount layer 'top': ") != std::string::npos);
    CHECK(!present("top/merged"));
    CHECK(record_of("top").empty());
    CHECK(store->idle());
    sys::renameat(dir.get(), "top/away", dir.get(), "top/work");
    CHECK(write_errno(get("top")) == 0);
    put("top");
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "a put too many does not take a container's root away") {
    for_each_method(*this, [&] {
      create("base");
      create("top", "base");
      const std::string merged = get("top");
      {
        Child container([&] {
          if (::chroot(merged.c_str()) != 0) throw Error(ErrorKind::Internal, "chroot");
        });
        put("top");
        CHECK(mounted("top"));
        CHECK(!store->idle());
        put("top");
        CHECK(mounted("top"));
        store->cleanup();
        CHECK(mounted("top"));
        CHECK(notes.contains("a process has it as its root"));
      }
      put("top");
      CHECK(!mounted("top"));
      CHECK(store->idle());
    });
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox,
                    "a lone read-only layer is kept for who has it as its root") {
    create("base");
    create("child", "base");
    const std::string merged = get("base");
    CHECK(mounted("base"));
    {
      Child container([&] {
        if (::chroot(merged.c_str()) != 0) throw Error(ErrorKind::Internal, "chroot");
      });
      put("base");
      CHECK(mounted("base"));
    }
    store->cleanup();
    CHECK(!mounted("base"));
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox,
                    "a mount that somebody took away comes back with the next get") {
    create("base");
    create("top", "base");
    const std::string merged = get("top");
    get("top");
    CHECK(unmount_lazily(AT_FDCWD, merged));
    CHECK(get("top") == merged);
    CHECK(mounted("top"));
    CHECK(notes.contains("was unmounted by somebody else"));
    put("top");
    CHECK(!mounted("top"));
    remove_everything();
  }

  // Docker mounts its data root on itself when it starts, and unmounts that when it stops.
  TEST_CASE_FIXTURE(LayerStoreSandbox, "a home opened on a mount that is gone now still mounts") {
    make_dirs(fd(), "root/home");
    const std::string root = path() + "/root";
    config.home = root + "/home";
    for_each_method(*this, [&] {
      store.reset();
      REQUIRE(::mount(root.c_str(), root.c_str(), nullptr, MS_BIND, nullptr) == 0);
      open();
      create_with("base", "", "f", "x");
      create("top", "base");
      get("top");
      REQUIRE(unmount_lazily(AT_FDCWD, root));  // takes the layer's mount along
      CHECK(!mounted("top"));
      CHECK(content_of(AT_FDCWD, get("top") + "/f") == "x");
      CHECK(mounted("top"));
      put("top");
      CHECK(!mounted("top"));
    });
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox,
                    "a mount that somebody took away is none for put and cleanup") {
    create("base");
    create("top", "base");
    // On most machines processes have their root on the file system of the store.
    Child process([&] {
      if (::chroot(path().c_str()) != 0) throw Error(ErrorKind::Internal, "chroot");
    });
    CHECK(unmount_lazily(AT_FDCWD, get("top")));
    put("top");
    CHECK(store->idle());
    CHECK(store->status().mounted == 0);
    CHECK(unmount_lazily(AT_FDCWD, get("top")));
    store->cleanup();
    CHECK(store->idle());
    CHECK(record_of("top").empty());
    process.finish();
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "cleanup unmounts what nobody holds and nothing else") {
    create("base");
    create("held", "base");
    create("lost", "base");
    get("held");
    const std::string lost = get("lost");
    close();
    sys::unlinkat(fd(), "state/mounts/lost", 0);
    open();
    CHECK(mounted("lost"));
    store->cleanup();
    CHECK(!mounted("lost"));
    CHECK(mounted("held"));
    CHECK(notes.contains("1 layers are still held"));
    put("held");
    CHECK(!mounted("held"));
    remove_everything();
  }

  // ---------------------------------------------------------------------------------------- remove

  TEST_CASE_FIXTURE(LayerStoreSandbox, "removing takes a layer away, mounted or not") {
    create_with("base", "", "f", "x");
    create("a", "base");
    create("b", "base");
    get("a");
    get("a");
    remove("a");
    CHECK(!exists("a"));
    CHECK(!present("a"));
    CHECK(record_of("a").empty());
    put("a");
    remove("a");
    remove("never");
    remove("b");
    remove("base");
    CHECK(links() == 0);
    CHECK(trash_empties());
    remove_everything();
  }

  // As an engine does that was killed before it knew of those others.
  TEST_CASE_FIXTURE(LayerStoreSandbox, "what is removed under others is there for them only") {
    create_with("base", "", "f", "x");
    create("mid", "base");
    create("top", "mid");
    remove("base");
    get("mid");
    remove("mid");
    CHECK(record_of("mid").empty());
    for (const bool restarted : {false, true}) {
      CAPTURE(restarted);
      if (restarted) open();
      CHECK(!exists("base"));
      CHECK(!exists("mid"));
      CHECK(present("base"));
      CHECK(error([&] { get("mid"); }) == "not-found there is no layer 'mid'");
      CHECK(error([&] { create("more", "mid"); }) == "not-found there is no layer 'mid'");
      CHECK(error([&] { create("mid", "top"); }) == "already-exists layer 'mid' exists already");
      CHECK(store->status().layers == 1);
      CHECK(content_of(AT_FDCWD, get("top") + "/f") == "x");
      put("top");
      remove("mid");
    }
    remove("top");
    CHECK(!present("mid"));
    CHECK(!present("base"));
    CHECK(links() == 0);
    CHECK(trash_empties());
    create("mid");
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "a start deletes what lingers for no layer") {
    create("base");
    create("top", "base");
    remove("base");
    create("broken");
    close();
    // As a kill between the two renames leaves it, and then a layer that might lie on it.
    std::filesystem::remove_all(config.home / "top");
    std::filesystem::remove_all(config.home / "broken/diff");
    open();
    CHECK(present("base"));
    remove("broken");
    open();
    CHECK(!present("base"));
    CHECK(links() == 0);
    CHECK(trash_empties());
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "an id can be used again after its layer was removed") {
    create_with("base", "", "f", "x");
    for (int round = 0; round < 3; ++round) {
      create_with("again", round % 2 == 0 ? "base" : "", "mine", std::to_string(round));
      CHECK(content_of(home().get(), "again/diff/mine") == std::to_string(round));
      get("again");
      remove("again");
      CHECK(!exists("again"));
    }
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox,
                    "a layer that somebody deleted by hand can still be removed") {
    create("base");
    create("top", "base");
    sys::remove_tree(home().get(), "top");
    CHECK(error([&] { get("top"); }) != "");
    remove("top");
    CHECK(!exists("top"));
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox,
                    "a removed layer's immutable file stays in the trash and is told") {
    create_with("base", "", "f", "x");
    make_dirs(home().get(), "base/diff/busy");
    mount_classic("busy", config.home.string() + "/base/diff/busy", "tmpfs", 0);
    remove("base");
    CHECK(!exists("base"));
    CHECK(eventually([&] { return notes.contains("cannot delete removed layer in trash yet"); }));
    CHECK(store->status().trash == 1);
    close();
    const UniqueFd trash = sys::open_path_dir(home().get(), layout::kTrashDirectory);
    const auto left = sys::list_directory(trash.get());
    REQUIRE(left.size() == 1);
    CHECK(unmount_lazily(trash.get(), left[0].name + "/diff/busy"));
    open();
    CHECK(trash_empties());
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "a layer nested deeper than descriptors last is deleted") {
    create("base");
    UniqueFd at = sys::open_path_dir(AT_FDCWD, get("base"));
    for (const char* name : {"b", "z"}) make_dirs(at.get(), std::string(name) + "/more/and/more");
    for (int depth = 0; depth < 3000; ++depth) {
      sys::mkdirat(at.get(), "a", 0755);
      at = sys::open_path_dir(at.get(), "a");
      if (depth % 50 == 0) make_dirs(at.get(), "z/beside");
    }
    at.reset();
    put("base");
    remove("base");
    CHECK(trash_empties());
    CHECK(!notes.contains("cannot delete"));
    remove_everything();
  }

  // --------------------------------------------------------------------------------------- restart

  TEST_CASE_FIXTURE(LayerStoreSandbox, "a restart forgets no layer and no holder") {
    for_each_method(*this, [&] {
      create_with("base", "", "f", "x");
      create("top", "base");
      const std::string merged = get("top");
      get("top");
      get("top");
      open();
      CHECK(mounted("top"));
      CHECK(exists("base"));
      CHECK(store->metadata(id_of("top")).lowers.size() == 1);
      put("top");
      open();
      put("top");
      CHECK(mounted("top"));
      CHECK(get("top") == merged);
      open();
      put("top");
      CHECK(mounted("top"));
      put("top");
      CHECK(!mounted("top"));
      CHECK(record_of("top").empty());
      CHECK(error_of([&] { apply("base", one_file()); }).starts_with("busy"));
    });
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "a killed process leaves its mounts and their counts") {
    as_killed_process([&] {
      create_with("base", "", "f", "x");
      create("top", "base");
      get("top");
      get("top");
      get("base");
    });
    CHECK(mounted("top"));
    CHECK(mounted("base"));
    put("top");
    CHECK(mounted("top"));
    put("top");
    CHECK(!mounted("top"));
    put("base");
    CHECK(!mounted("base"));
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox,
                    "whatever moment a process is killed at, the store opens again") {
    // Shared with the process that is to be killed: how far it has come.
    void* shared = ::mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(shared != MAP_FAILED);
    auto& steps = *new (shared) std::atomic<int>;
    for (int round = 0; round < 60; ++round) {
      CAPTURE(round);
      close();
      steps = 0;
      {
        Child child([&] {
          open();
          std::thread([&] {
            for (int i = 0;; ++i) {
              const std::string id = "layer" + std::to_string(i % 3);
              const std::string child_id = id + "-child";
              const std::function<void()> acts[] = {[&] { create(id); },
                                                    [&] { apply(id, one_file()); },
                                                    [&] { create(child_id, id); },
                                                    [&] { get(child_id); },
                                                    [&] { put(child_id); },
                                                    [&] { remove(child_id); },
                                                    [&] { remove(id); }};
              for (const auto& act : acts) {
                error_of(act);
                ++steps;
              }
            }
          }).detach();
        });
        CHECK(eventually([&] { return steps >= round; }));
        child.kill();
      }
      open();
      for (int i = 0; i < 3; ++i) {
        const std::string id = "layer" + std::to_string(i);
        const bool half = present(id + "/partial");
        if (!exists(id) || half) continue;
        const std::string path_now = get(id);
        const std::string content = content_of(AT_FDCWD, path_now + "/f");
        CHECK((content.empty() || content == "content"));
        put(id);
      }
      for (const std::string& note : notes.all())
        CHECK_MESSAGE(note.find("damaged") == note.npos, note);
      store->cleanup();
      remove_everything();
    }
    ::munmap(shared, sizeof(std::atomic<int>));
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "an ApplyDiff cut off by a kill leaves a layer to remove") {
    as_killed_process([&] {
      create("base");
      // The sender never comes to an end.
      static SlowSource source(one_file());
      std::thread([&] { store->apply_diff(id_of("base"), nullptr, source); }).detach();
      source.wait_until_started();
    });
    CHECK(exists("base"));
    CHECK(present("base/partial"));
    CHECK(error([&] { get("base"); }).starts_with("corrupt"));
    CHECK(error([&] { diff("base"); }).starts_with("corrupt"));
    CHECK(error([&] { apply("base", one_file()); }).starts_with("corrupt"));
    CHECK(error([&] { create("child", "base"); }).starts_with("corrupt"));
    put("base");
    remove("base");
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "records without mounts, as after a reboot, are forgotten") {
    create("base");
    create("top", "base");
    const std::string merged = get("top");
    get("top");
    close();
    CHECK(unmount_lazily(AT_FDCWD, merged));
    put_file(fd(), "state/mounts/gone", "0000000003\n");
    open();
    CHECK(record_of("top").empty());
    CHECK(record_of("gone").empty());
    CHECK(store->idle());
    CHECK(get("top") == merged);
    put("top");
    CHECK(!mounted("top"));
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "a lost or damaged ledger loses counts but no mount") {
    create("base");
    create("top", "base");
    get("top");
    get("top");
    for (const char* damage : {"", "0000", "garbage that is longer than any record"}) {
      CAPTURE(damage);
      close();
      put_file(fd(), "state/mounts/top", damage);
      make_dirs(fd(), "state/mounts/directory");
      put_file(fd(), "state/mounts/.hidden", "1");
      open();
      CHECK(mounted("top"));
      get("top");
    }
    sys::remove_tree(fd(), "state/mounts");
    open();
    CHECK(mounted("top"));
    put("top");
    CHECK(!mounted("top"));
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox,
                    "a start reads the layers that have changed, and no others") {
    create_with("base", "", "f", "1");
    create_with("child", "base", "f", "2");
    create("top", "child");
    CHECK(!mounted("child"));
    const auto restart = [&] {
      close();
      // As if nothing had happened for a while: what has only just changed is not recorded.
      record_listing(home().get(), std::chrono::system_clock::now() + std::chrono::hours(1));
      notes.clear();
      open();
    };
    restart();
    CHECK(notes.contains("found 3 layers, and read 0 of them"));
    CHECK(content_of(AT_FDCWD, get("top") + "/f") == "2");
    CHECK(error_of([&] { create("base"); }).starts_with("already-exists"));
    put("top");
    CHECK(!mounted("top"));
    remove("top");
    create_with("second", "child", "f", "3");
    open();  // whose record does not have that
    CHECK(changes("second", "child") == std::vector<Change>{{"/f", ChangeKind::Modify}});
    CHECK(!mounted("second"));
    restart();
    CHECK(notes.contains("found 3 layers, and read 0 of them"));
    CHECK(changes("second", "child") == std::vector<Change>{{"/f", ChangeKind::Modify}});
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "what a crash left in staging and trash is swept") {
    create("base");
    close();
    const UniqueFd dir = home();
    make_dirs(dir.get(), ".overlayd/staging/HALF/diff");
    put_file(dir.get(), ".overlayd/staging/HALF/link", "ABC");
    make_dirs(dir.get(), ".overlayd/trash/OLD/diff/deep/er");
    put_file(dir.get(), ".overlayd/trash/file", "x");
    sys::symlinkat("../never/diff", dir.get(), "l/AAAAAAAAAAAAAAAAAAAAAAAAAA");
    open();
    CHECK(staged() == 0);
    CHECK(trash_empties());
    CHECK(links() == 1);
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "one home is served by one store at a time") {
    Notes other_notes;
    const std::string refused = error_of([&] { LayerStore::open(config, other_notes); });
    CHECK(refused.starts_with("busy open the store in "));
    create("base");  // the first is none the worse
    close();
    auto second = LayerStore::open(config, other_notes);
    CHECK(second->exists(id_of("base")));
    CHECK(error_of([&] { open(); }).starts_with("busy"));
    second.reset();
    open();
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "a store is not opened with what it cannot do") {
    const StoreConfig good = config;
    close();
    for (const char* limit : {"overlay2.size=10G", "overlayd.size=10G", "overlayd.inodes=1000"}) {
      config.options = {limit};
      CAPTURE(limit);
      const std::string refused = error([&] { open(); });
      CHECK(refused.starts_with("unsupported open the store in "));
      CHECK(refused.find("layers cannot be limited here: its file system (tmpfs)") !=
            std::string::npos);
    }
    config.options = {"overlayd.size=0", "overlayd.project_ids=5-6"};
    open();
    CHECK(store->status().quota_obstacle.starts_with("its file system (tmpfs)"));
    close();
    config.options = {"dm.basesize=10G"};
    CHECK(error([&] { open(); }).starts_with("invalid-argument"));
    config = good;
    config.home = "relative";
    CHECK(error([&] { open(); }).starts_with("invalid-argument"));
    config = good;
    config.state_dir = path() + "/absent";
    CHECK(error([&] { open(); }).starts_with("not-found"));
    config = good;
    config.options = {"overlay2.override_kernel_check=true"};
    open();
    CHECK(store->config() == config);
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox,
                    "homes with odd names and symlinks on the way are nothing special") {
    make_dirs(fd(), "real/deep");
    make_dirs(fd(), "real/other");
    sys::symlinkat("real/deep", fd(), "symlink");
    sys::symlinkat("real/other", fd(), "symlink itself");
    const char* homes[] = {"a:b",      "c,d",          "with space",     "back\\slash", "new\nline",
                           "\xff\xfe", "symlink/home", "symlink itself", "not/yet/made"};
    for (const char* name : homes) {
      CAPTURE(quoted(name));
      config.home = path() + "/" + name;
      for_each_method(*this, [&] {
        create_with("base", "", "f", "x");
        create("top", "base");
        const std::string merged = get("top");
        CHECK(merged == config.home.string() + "/top/merged");
        CHECK(content_of(AT_FDCWD, merged + "/f") == "x");
        get("top");
        open();  // finds its mount again although the kernel shows another path
        put("top");
        CHECK(mounted("top"));
        put("top");
        CHECK(!mounted("top"));
        CHECK(apply_and_diff("filled"));
        remove("filled");
      });
    }
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "odd layer ids are nothing special") {
    const std::string ids[] = {"a:b",    "c,d", "with space", "back\\slash",
                               "-",      "%s",  "\xff\xfe",   std::string(255, 'n'),
                               "merged", "L",   "new\nline"};
    create_with("base", "", "f", "x");
    for (const std::string& id : ids) {
      CAPTURE(quoted(id));
      create(id, "base");
      CHECK(content_of(AT_FDCWD, get(id) + "/f") == "x");
    }
    open();
    for (const std::string& id : ids) {
      CAPTURE(quoted(id));
      CHECK(mounted(id));
      put(id);
      CHECK(!mounted(id));
    }
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "a home that Docker's driver left is served as it is") {
    // Base, two image layers, an init layer and a container that was running at a power cut.
    const std::string links[] = {"AAAAAAAAAAAAAAAAAAAAAAAAAA", "BBBBBBBBBBBBBBBBBBBBBBBBBB",
                                 "CCCCCCCCCCCCCCCCCCCCCCCCCC", "IIIIIIIIIIIIIIIIIIIIIIIIII",
                                 "MMMMMMMMMMMMMMMMMMMMMMMMMM"};
    const std::string ids[] = {"a", "b", "c", "m-init", "m"};
    config.home = path() + "/overlay2";
    close();
    make_dirs(fd(), "overlay2/l");
    const UniqueFd dir = home();
    std::string lower;
    for (size_t i = 0; i < 5; ++i) {
      make_dirs(dir.get(), ids[i] + "/diff");
      put_file(dir.get(), ids[i] + "/diff/" + ids[i], ids[i]);
      put_file(dir.get(), ids[i] + "/link", links[i]);
      sys::symlinkat("../" + ids[i] + "/diff", dir.get(), "l/" + links[i]);
      if (i < 4) put_file(dir.get(), ids[i] + "/committed", "");
      if (i > 0) {
        make_dirs(dir.get(), ids[i] + "/work/work");
        put_file(dir.get(), ids[i] + "/lower", lower);
      }
      lower = "l/" + links[i] + (lower.empty() ? "" : ":" + lower);
    }
    make_dirs(dir.get(), "m/merged");
    make_dirs(dir.get(), "check-overlayfs-support123/lower1");
    put_file(dir.get(), "backingFsBlockDev", "");
    put_file(dir.get(), "b/.tmp-lower1", "half");
    const std::string before = tree_text(sys::open_path_dir(dir.get(), "a").get());

    notes.clear();
    open();
    REQUIRE(notes.all().size() == 2);
    CHECK(notes.all().front().starts_with("info: durability "));
    CHECK(notes.all().back() == "info: found 5 layers, and read 5 of them");
    CHECK(store->status().layers == 5);
    const std::string merged = get("m");
    for (const std::string& id : ids) CHECK(content_of(AT_FDCWD, merged + "/" + id) == id);
    CHECK(write_errno(merged) == 0);
    put("m");
    CHECK(write_errno(get("c")) == EROFS);
    put("c");
    CHECK(write_errno(get("a")) == EROFS);
    put("a");
    CHECK(!mounted("a"));
    CHECK(diff_size("m", "m-init") == 1);
    CHECK(changes("c", "a").size() == 2);
    create("next", "c");
    CHECK(content_of(dir.get(), "next/lower") ==
          "l/" + links[2] + ":l/" + links[1] + ":l/" + links[0]);
    remove("next");
    CHECK(tree_text(sys::open_path_dir(dir.get(), "a").get()) == before);
    for (const char* id : {"m", "m-init", "c", "b", "a"}) remove(id);
    CHECK(present("check-overlayfs-support123"));
    CHECK(sys::list_directory(sys::open_path_dir(dir.get(), "l").get()).empty());
    CHECK(trash_empties());
  }

  // --------------------------------------------------------------------------------------- streams

  TEST_CASE_FIXTURE(LayerStoreSandbox, "an ApplyDiff fills an empty layer and returns its size") {
    create_with("base", "", "gone", "x");
    create("top", "base");
    TarBuilder tar;
    tar.file("f", "12345").file(".wh.gone").header({.name = "s", .type = '2', .link_name = "f"});
    CHECK(apply("top", tar.end().str(), "base") == 6);
    CHECK(diff_size("top", "base") == 6);
    CHECK(!present("top/partial"));
    const std::string merged = get("top");
    CHECK(content_of(AT_FDCWD, merged + "/f") == "12345");
    CHECK(!sys::try_fstatat(AT_FDCWD, merged + "/gone"));
    put("top");
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox,
                    "a mount lists nothing in an opaque directory that is gone") {
    create("base");
    apply("base", TarBuilder().file("d/e/gone", "x").file("d/f", "x").end().str());
    create("top", "base");
    apply("top", TarBuilder().file("d/e/.wh.gone").file("d/.wh..wh..opq").end().str(), "base");
    const UniqueFd merged = sys::open_path_dir(AT_FDCWD, get("top"));
    CHECK(sys::list_directory(sys::open_path_dir(merged.get(), "d/e").get()).empty());
    CHECK(sys::list_directory(sys::open_path_dir(merged.get(), "d").get()).size() == 1);
    put("top");
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox,
                    "an ApplyDiff needs an idle, empty, childless layer and its parent") {
    create("base");
    create("top", "base");
    create("other");
    CHECK(error([&] { apply("absent", one_file()); }).starts_with("not-found"));
    CHECK(error([&] { apply("base", one_file()); }).starts_with("busy"));  // has a child
    CHECK(error([&] { apply("top", one_file(), "other"); }).starts_with("invalid-argument"));
    CHECK(error([&] { apply("top", one_file(), "top"); }).starts_with("invalid-argument"));
    CHECK(error([&] { apply("other", one_file(), "base"); }).starts_with("invalid-argument"));
    get("top");
    CHECK(error([&] { apply("top", one_file(), "base"); }).starts_with("busy"));
    put("top");
    get("other");
    CHECK(error([&] { apply("other", one_file()); }).starts_with("busy"));
    put("other");
    for (const char* id : {"base", "top", "other"}) CHECK(!present(std::string(id) + "/partial"));
    CHECK(apply("top", one_file()) == 7);  // null is as good as the parent's name
    CHECK(error([&] { apply("top", one_file()); }).starts_with("invalid-argument"));
    CHECK(content_of(home().get(), "top/diff/f") == "content");
    CHECK(apply("other", TarBuilder().end().str()) == 0);
    CHECK(apply("other", one_file()) == 7);  // an empty tar has filled nothing
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox,
                    "an ApplyDiff that fails leaves a layer that can only be removed") {
    const std::string whole = one_file("f", std::string(5000, 'x'));
    const std::string tars[] = {whole.substr(0, 3000),
                                TarBuilder().file("f", "x").file("../out").end().str(),
                                TarBuilder()
                                    .file("f", "x")
                                    .header({.name = "h", .type = '1', .link_name = "/etc/passwd"})
                                    .end()
                                    .str(),
                                TarBuilder().file("f", "x").file("g").break_checksum().end().str(),
                                "\x1f\x8b\x08 compressed" + std::string(600, 'z')};
    for (const std::string& tar : tars) {
      create("base");
      create("top", "base");
      const std::string error_text = error([&] { apply("top", tar, "base"); });
      CHECK(error_text.starts_with("bad-archive apply layer 'top': "));
      CHECK(sys::list_directory(sys::open_path_dir(home().get(), "top/diff").get()).empty());
      CHECK(sys::list_directory(sys::open_path_dir(home().get(), "top/partial").get()).empty());
      for (const bool restarted : {false, true}) {
        CAPTURE(restarted);
        if (restarted) open();
        CHECK(exists("top"));
        CHECK(error([&] { apply("top", whole, "base"); }).starts_with("corrupt"));
        CHECK(error([&] { get("top"); }).starts_with("corrupt"));
        CHECK(error([&] { diff("top", "base"); }).starts_with("corrupt"));
        CHECK(error([&] { changes("top", "base"); }).starts_with("corrupt"));
        CHECK(error([&] { diff_size("top", "base"); }).starts_with("corrupt"));
        CHECK(error([&] { create("child", "top"); }).starts_with("corrupt"));
        put("top");
        CHECK(store->idle());
      }
      remove_everything();
    }
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "while a layer is filled it can be nothing else") {
    create("base");
    SlowSource source(one_file());
    std::thread filler([&] { CHECK(store->apply_diff(id_of("base"), nullptr, source) == 7); });
    source.wait_until_started();
    CHECK(!store->idle());
    CHECK(error([&] { get("base"); }).starts_with("busy"));
    CHECK(error([&] { diff("base"); }).starts_with("busy"));
    CHECK(error([&] { changes("base"); }).starts_with("busy"));
    CHECK(error([&] { create("child", "base"); }).starts_with("busy"));
    CHECK(error([&] { apply("base", one_file()); }).starts_with("busy"));
    CHECK(exists("base"));
    put("base");
    create("unrelated");  // others do not wait
    source.release();
    filler.join();
    CHECK(store->idle());
    CHECK(content_of(AT_FDCWD, get("base") + "/f") == "content");
    put("base");
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "removing waits for an ApplyDiff whose sender is gone") {
    create("base");
    SlowSource source(one_file());
    std::string error_text;
    std::thread filler(
        [&] { error_text = error([&] { store->apply_diff(id_of("base"), nullptr, source); }); });
    source.wait_until_started();
    std::thread remover([&] { remove("base"); });
    source.hang_up();
    filler.join();
    remover.join();
    CHECK(error_text.starts_with("aborted"));
    CHECK(!exists("base"));
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "a layer is filled while its parent is being read") {
    create("base");
    apply("base", one_file("big", std::string(1 << 20, 'b')));
    create("top", "base");
    SlowSink sink;
    auto stream = store->diff(id_of("base"), nullptr);
    std::thread reader([&] { stream->write_to(sink); });
    sink.started.wait(false);
    CHECK(!store->idle());
    CHECK(apply("top", one_file(), "base") == 7);
    CHECK(content_of(AT_FDCWD, get("top") + "/f") == "content");
    put("top");
    sink.release();
    reader.join();
    stream.reset();
    CHECK(sink.inner.text() == diff("base"));
    remove_everything();
  }

  // In these a file that nobody could have written shows whether the layer was looked at.

  TEST_CASE_FIXTURE(LayerStoreSandbox, "a filled layer is measured again once it can be written") {
    create("base");
    apply("base", one_file());
    create("top", "base");
    apply("top", one_file(), "base");
    for (const std::string id : {"base", "top"}) put_file(home().get(), id + "/diff/new", "12345");
    CHECK(diff_size("base") == 7);
    CHECK(diff_size("top", "base") == 7);
    CHECK(diff_size("top") == 12);
    get("top");
    CHECK(diff_size("top", "base") == 12);
    put("top");
    CHECK(diff_size("top", "base") == 12);
    put_file(home().get(), "top/diff/more", "x");
    CHECK(diff_size("top", "base") == 13);
    create("other");
    apply("other", one_file());
    put_in(get("other"), "new", "123");
    put("other");
    CHECK(diff_size("other") == 10);
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "a read-only layer is measured once, whatever restarts") {
    create_with("base", "", "f", "1234567");
    create_with("middle", "base", "f", "123");
    create("top", "middle");
    for (const bool restarted : {false, true}) {
      CAPTURE(restarted);
      if (restarted) open();
      CHECK(diff_size("base") == 7);
      CHECK(diff_size("middle", "base") == 3);
      get("middle");
      CHECK(diff_size("middle", "base") == 3);
      put("middle");
      for (const std::string id : {"base", "middle"})
        put_file(home().get(), id + "/diff/new", "12345");
    }
    CHECK(content_of(home().get(), "base/size") == "7\n");
    CHECK(owner_and_mode("middle/size") == "0600 0:0");
    CHECK(diff_size("middle") == 8);
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "a layer is not measured for good while one can write") {
    create("base");
    const std::string base = get("base");
    create("middle", "base");
    const std::string middle = get("middle");
    create("top", "middle");  // both are read-only now, but not to who holds them
    for (const char* content : {"1", "12"}) {
      put_in(base, "f", content);
      put_in(middle, "g", content);
      const auto size = static_cast<int64_t>(std::string_view(content).size());
      CHECK(diff_size("base") == size);
      CHECK(diff_size("middle", "base") == size);
    }
    close();
    open();
    put_in(middle, "g", "123");
    CHECK(diff_size("middle", "base") == 3);
    put_in(middle, "g", "1234");
    CHECK(diff_size("middle", "base") == 4);
    CHECK(!present("middle/size"));
    put("middle");
    CHECK(!mounted("middle"));
    CHECK(diff_size("middle", "base") == 4);
    CHECK(present("middle/size"));
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "what somebody took away may still be written to") {
    create("base");
    create("middle", "base");
    const UniqueFd kept = sys::open_path_dir(AT_FDCWD, get("middle"));
    create("top", "middle");
    CHECK(unmount_lazily(AT_FDCWD, config.home.string() + "/middle/merged"));
    put("middle");
    get("middle");
    put("middle");
    put_file(kept.get(), "f", "1");
    CHECK(diff_size("middle", "base") == 1);
    put_file(kept.get(), "f", "12");
    CHECK(diff_size("middle", "base") == 2);
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "another driver may write to a layer between two starts") {
    create("base");
    apply("base", one_file());
    CHECK(diff_size("base") == 7);
    close();
    put_file(home().get(), "base/diff/new", "12345");
    open();
    CHECK(diff_size("base") == 12);
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "a diff goes on when its layer is unmounted meanwhile") {
    create_with("base", "", "f", "x");
    create("top", "base");
    put_in(get("top"), "g", "y");
    auto stream = store->diff(id_of("top"), nullptr);
    put("top");
    CHECK(!mounted("top"));
    StringSink sink;
    stream->write_to(sink);
    stream.reset();
    CHECK(sink.text() == diff("top"));
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "what is removed while it is being opened is not there") {
    create("base");
    create("other");
    const std::string gone = "not-found changes of layer 'top': there is no layer 'top'";
    std::mutex mutex;
    std::set<std::string> errors;
    for (int round = 0; round < 400; ++round) {
      create("top", "base");
      std::vector<std::jthread> readers;
      for (int i = 0; i < 4; ++i) {
        readers.emplace_back([&] {
          std::string error;
          while (error != gone) {
            error = error_of([&] { changes("top", "other"); });
            const std::lock_guard lock(mutex);
            errors.insert(error);
          }
        });
      }
      remove("top");
    }
    CHECK(errors.erase(gone) == 1);
    errors.erase(
        "invalid-argument changes of layer 'top': layer 'other' is not an ancestor of layer 'top'");
    for (const std::string& other : errors) FAIL_CHECK(other);
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "a diff fails when its layer is removed meanwhile") {
    for (const bool with_parent : {true, false}) {
      CAPTURE(with_parent);
      create_with("base", "", "f", "x");
      create_with("top", "base", "g", "y");
      const LayerId base = id_of("base");
      auto stream = store->diff(id_of("top"), with_parent ? &base : nullptr);
      remove("top");
      CHECK(trash_empties());
      StringSink sink;
      CHECK(error([&] { stream->write_to(sink); }).starts_with("not-found diff of layer 'top'"));
      stream.reset();
      remove_everything();
    }
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox,
                    "diff, changes and size know the parent, any ancestor, or none") {
    create_with("a", "", "fa", "1");
    create_with("b", "a", "fb", "22");
    create_with("c", "b", "fc", "333");
    create("stranger");
    CHECK(diff_size("c", "b") == 3);
    CHECK(diff_size("c", "a") == 5);
    CHECK(diff_size("c") == 6);
    CHECK(changes("c", "b") == std::vector<Change>{{"/fc", ChangeKind::Add}});
    CHECK(changes("c", "a").size() == 2);
    CHECK(changes("c").size() == 3);
    for (const char* other : {"c", "stranger"}) {
      CAPTURE(other);
      CHECK(error([&] { diff("c", other); }).starts_with("invalid-argument"));
      CHECK(error([&] { changes("c", other); }).starts_with("invalid-argument"));
      CHECK(error([&] { diff_size("c", other); }).starts_with("invalid-argument"));
    }
    CHECK(error([&] { diff("a", "c"); }).starts_with("invalid-argument"));  // a descendant
    CHECK(error([&] { diff("absent"); }).starts_with("not-found"));
    CHECK(error([&] { diff("c", "absent"); }).starts_with("not-found"));
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "the worked example of a diff comes out member by member") {
    create("base");
    make_dirs(fd(), "home/base/diff/etc");
    make_dirs(fd(), "home/base/diff/opt");
    for (const char* name : {"etc/y", "etc/z", "opt/old"})
      put_file(home().get(), std::string("base/diff/") + name, "old");
    create("top", "base");
    const std::string root = get("top");
    put_in(root + "/etc", "x", "new");
    ::unlink((root + "/etc/y").c_str());
    ::unlink((root + "/etc/z").c_str());
    sys::remove_tree(AT_FDCWD, root + "/opt");
    sys::mkdirat(AT_FDCWD, root + "/opt", 0755);
    put_in(root + "/opt", "f", "f");
    put_in(root, "h1", "links");
    REQUIRE(::link((root + "/h1").c_str(), (root + "/h2").c_str()) == 0);
    put("top");
    const std::string tar = diff("top", "base");
    StringSource text(tar);
    TarReader reader(text);
    std::string listing;
    while (const auto entry = reader.next()) {
      listing += static_cast<char>(entry->type) + (" " + entry->name);
      if (!entry->link_name.empty()) listing += " -> " + entry->link_name;
      listing += '\n';
    }
    CHECK(listing ==
          "5 etc/\n0 etc/x\n0 etc/.wh.y\n0 etc/.wh.z\n0 h1\n1 h2 -> h1\n"
          "5 opt/\n0 opt/.wh..wh..opq\n0 opt/f\n");
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "a name that would read as a whiteout ends a diff") {
    create_with("base", "", "file", "x");
    create_with("top", "base", ".wh.file", "not a deletion");
    CHECK(error_of([&] { diff("top", "base"); }) ==
          "unsupported diff of layer 'top': '.wh.file': a name that begins with '.wh.' would be "
          "taken "
          "for a deletion in a layer tar");
    CHECK(changes("top", "base") == std::vector<Change>{{"/.wh.file", ChangeKind::Add}});
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "sockets are left out of a diff and told") {
    create("base");
    const std::string root = get("base");
    REQUIRE(::mknod((root + "/sock").c_str(), S_IFSOCK | 0600, 0) == 0);
    put_in(root, "f", "x");
    put("base");
    const std::string tar = diff("base");
    CHECK(tar.find("sock") == std::string::npos);
    CHECK(notes.contains("left 1 sockets out"));
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox,
                    "a directory renamed under redirect_dir is refused, not lost") {
    create_with("base", "", "f", "x");
    create("top", "base");
    make_dirs(home().get(), "top/diff/moved");
    xattr::set({sys::open_path_dir(home().get(), "top/diff").get(), "moved"},
               whiteout::kRedirectXattr, "/old");
    CHECK(error([&] { diff("top", "base"); }).starts_with("unsupported"));
    CHECK(error([&] { changes("top", "base"); }).starts_with("unsupported"));
    remove_everything();
  }

  // --------------------------------------------------------------------------------------- id maps

  struct RemappedSandbox : LayerStoreSandbox {
    RemappedSandbox() {
      config.id_maps.uids = IdMap({{0, 100000, 1000}});
      config.id_maps.gids = IdMap({{0, 200000, 1000}});
      config.home = path() + "/mapped";
      open();
    }
  };

  TEST_CASE_FIXTURE(RemappedSandbox, "a remapped store gives container root what is its") {
    create("base");
    create("top", "base");
    get("top");
    CHECK(owner_and_mode(".") == "0710 0:200000");
    CHECK(owner_and_mode("l") == "0700 0:0");
    CHECK(owner_and_mode("top") == "0710 0:200000");
    CHECK(owner_and_mode("top/diff") == "0755 100000:200000");
    CHECK(owner_and_mode("top/work") == "0700 100000:200000");
    CHECK(owner_and_mode("top/work/work") == "0000 100000:200000");
    CHECK(owner_and_mode("top/merged") == "0755 100000:200000");
    CHECK(owner_and_mode("top/link") == "0644 0:0");
    CHECK(owner_and_mode("base/committed") == "0600 0:0");
    put("top");
    remove_everything();
  }

  TEST_CASE_FIXTURE(RemappedSandbox, "owners and capabilities go through the map both ways") {
    std::string v2(XATTR_CAPS_SZ_2, '\0');
    v2[0] = 1;
    v2[3] = 2;
    v2[5] = 4;
    create("base");
    TarBuilder tar;
    tar.pax({{"SCHILY.xattr.security.capability", v2}})
        .member({.name = "f", .uid = 7, .gid = 8}, "x")
        .end();
    apply("base", tar.str());
    CHECK(owner_and_mode("base/diff/f") == "0644 100007:200008");
    const UniqueFd dir = sys::open_path_dir(home().get(), "base/diff");
    std::string v3 = v2 + std::string("\xa0\x86\x01\0", 4);  // 100000
    v3[3] = 3;
    CHECK(xattr::get({dir.get(), "f"}, "security.capability") == v3);
    const std::string out = diff("base");
    StringSource out_source(out);
    TarReader reader(out_source);
    const auto entry = reader.next();
    REQUIRE(entry);
    CHECK(entry->uid == 7);
    CHECK(entry->gid == 8);
    CHECK(entry->xattrs.at("security.capability") == v2);
    remove_everything();
  }

  TEST_CASE_FIXTURE(RemappedSandbox, "ids outside the map are errors both ways") {
    create("in");
    CHECK(error([&] {
            apply("in", TarBuilder().header({.name = "f", .uid = 1000}).end().str());
          }).starts_with("invalid-argument apply layer 'in': entry 'f'"));
    create("out");
    put_in(get("out"), "f", "host root's");
    put("out");
    CHECK(error([&] { diff("out"); }).find("'f': owner uid 0 on disk is outside") !=
          std::string::npos);
    remove_everything();
  }

  // ----------------------------------------------------------------------------------- concurrency

  TEST_CASE_FIXTURE(LayerStoreSandbox, "many threads on few layers end with nothing left") {
    static constexpr int kThreads = 6, kSteps = 400, kIds = 8;
    const auto work = [&](unsigned seed) {
      std::mt19937_64 random(seed);
      const auto any_id = [&] { return "layer" + std::to_string(random() % kIds); };
      std::vector<std::string> held;
      std::vector<std::string> bad;
      const auto attempt = [&](const char* what, const std::function<void()>& act) {
        const std::string error_text = error_of(act);
        const bool expected = error_text.empty() || error_text.starts_with("busy") ||
                              error_text.starts_with("not-found") ||
                              error_text.starts_with("already-exists") ||
                              error_text.starts_with("invalid-argument");
        if (!expected) bad.push_back(std::string(what) + ": " + error_text);
        return error_text.empty();
      };
      for (int step = 0; step < kSteps; ++step) {
        const std::string id = any_id(), other = any_id();
        switch (random() % 9) {
          case 0: attempt("create", [&] { create(id); }); break;
          case 1:
          case 2: attempt("create on", [&] { create(id, other); }); break;
          case 3:
            if (attempt("get", [&] { get(id); })) held.push_back(id);
            break;
          case 4:
            if (!held.empty()) {
              attempt("put", [&] { put(held.back()); });
              held.pop_back();
            }
            break;
          case 5: attempt("apply", [&] { apply(id, one_file(id)); }); break;
          case 6: attempt("diff", [&] { diff(id, random() % 2 == 0 ? "" : other); }); break;
          case 7: attempt("changes", [&] { changes(id); }); break;
          default: attempt("remove", [&] { remove(id); });
        }
        exists(id);
        if (step % 50 == 0) store->status();
      }
      for (const std::string& id : held) attempt("put", [&] { put(id); });
      return bad;
    };
    std::array<std::vector<std::string>, kThreads> complaints;
    {
      std::vector<std::jthread> threads;
      for (unsigned i = 0; i < kThreads; ++i) {
        threads.emplace_back([&, i] { complaints[i] = work(i); });
      }
    }
    for (const auto& list : complaints) {
      for (const std::string& text : list) FAIL_CHECK(text);
    }
    CHECK(staged() == 0);
    open();  // what is on disk agrees with itself
    for (const std::string& note : notes.all()) {
      CHECK_MESSAGE(note.find("damaged") == std::string::npos, note);
    }
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "of many who create one id one wins") {
    create("base");
    for (int round = 0; round < 20; ++round) {
      std::atomic<int> won = 0;
      {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 4; ++i) {
          threads.emplace_back([&] {
            if (error_of([&] { create("prize", "base"); }).empty()) ++won;
          });
        }
      }
      CHECK(won == 1);
      CHECK(links() == 2);
      remove("prize");
    }
    remove_everything();
  }

  TEST_CASE_FIXTURE(LayerStoreSandbox, "gets and puts of many threads balance") {
    create("base");
    create("top", "base");
    const std::string wanted = config.home.string() + "/top/merged";
    std::atomic<int> wrong = 0;
    {
      std::vector<std::jthread> threads;
      for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
          for (int round = 0; round < 100; ++round) {
            const std::string merged = get("top");
            if (merged != wanted || write_to(merged, "f") != 0) ++wrong;
            put("top");
          }
        });
      }
    }
    CHECK(wrong == 0);
    CHECK(!mounted("top"));
    CHECK(content_of(home().get(), "top/diff/f") == "x");
    remove_everything();
  }
}

}  // namespace
}  // namespace overlayd::test
