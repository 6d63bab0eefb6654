// SPDX-License-Identifier: Apache-2.0
#include "tests/faults/operations.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string_view>

#include "core/layout.h"
#include "core/sys.h"
#include "tests/integration/overlay_fixture.h"
#include "tests/support/tar_builder.h"

namespace overlayd::test {
namespace {

std::string directories_of_file() {
  TarBuilder tar;
  tar.header({.name = "unsaid/", .type = '5', .mode = 0755});
  return tar.header({.name = "unsaid/way/", .type = '5', .mode = 0755}).str();
}

// One of everything that takes another way through the extractor and the walk.
std::string rich_tar(bool on_nothing = false) {
  using Header = TarBuilder::Header;
  TarBuilder tar;
  // Without a layer below they would be made with the time of now.
  if (on_nothing) tar.raw(directories_of_file());
  tar.header({.name = "etc/", .type = '5', .mode = 0755, .mtime = 7});
  tar.file("etc/conf", "new");
  tar.file("unsaid/way/file", "its parents come from below");
  tar.member({.name = "long", .mode = 04755, .uid = 5, .gid = 6}, std::string(300'000, 'x'));
  tar.header({.name = "soft", .type = '2', .link_name = "etc/conf"});
  tar.header({.name = "hard", .type = '1', .link_name = "etc/conf"});
  tar.header({.name = "pipe", .type = '6'});
  tar.header({.name = "tty", .type = '3', .dev_major = 5, .dev_minor = 1});
  tar.pax({{"SCHILY.xattr.user.note", "kept"}}).file("noted", "n");
  tar.file("twice", "first").file("twice", "second");
  tar.sparse_1_0(Header{.name = "sparse"}, 100'000, {{4096, "data"}});
  tar.file(".wh.gone");
  tar.header({.name = "dir/", .type = '5', .mode = 0700});
  tar.file("dir/.wh..wh..opq").file("dir/fresh", "f");
  return tar.end().str();
}

std::string base_tar() {
  TarBuilder tar;
  tar.header({.name = "etc/", .type = '5', .mode = 0755});
  tar.header({.name = "unsaid/", .type = '5', .mode = 02750, .gid = 9});
  tar.header({.name = "unsaid/way/", .type = '5', .mode = 0700});
  tar.header({.name = "dir/", .type = '5', .mode = 0755});
  return tar.file("etc/conf", "old").file("dir/hidden", "h").file("gone", "g").end().str();
}

const LayerId& id(const char* name) {
  static std::map<std::string, LayerId> ids;
  return ids.try_emplace(name, id_of(name)).first->second;
}

std::string create(LayerStore& store, const char* name, const char* parent) {
  store.create(id(name), parent == nullptr ? nullptr : &id(parent), {});
  return "made";
}

std::string apply(LayerStore& store, const char* name, const char* parent) {
  const std::string tar = rich_tar(parent == nullptr);
  StringSource source(tar);
  return std::to_string(store.apply_diff(id(name), parent ? &id(parent) : nullptr, source));
}

std::string diff(LayerStore& store, const char* name, const char* parent) {
  StringSink sink;
  store.diff(id(name), parent ? &id(parent) : nullptr)->write_to(sink);
  return digest(sink.text());
}

std::string changes(LayerStore& store, const char* name, const char* parent) {
  std::string text;
  store.changes(id(name), parent ? &id(parent) : nullptr)
      ->write_to([&](std::string_view path, ChangeKind kind) {
        text.append(std::to_string(static_cast<int>(kind))).append(path).append("\n");
      });
  return text;
}

std::string put(LayerStore& store, const char* name) {
  store.put(id(name));
  return "put";
}

// The unmounting behind it, too, whose failure nobody is told, and which is then left to a cleanup.
std::string put_and_unmount(LayerStore& store, const char* name) {
  store.put(id(name));
  if (store.status().mounted > 0) store.cleanup();
  return "unmounted";
}

std::string get(LayerStore& store, const char* name) {
  return store.get(id(name), "").lexically_relative(store.config().home).string();
}

std::string put_and_get(LayerStore& store, const char* name) {
  store.put(id(name));
  return get(store, name);
}

std::string remove(LayerStore& store, const char* name) {
  store.remove(id(name));
  return "removed";
}

StoreState unfinished(StoreState state) { return with_line(std::move(state), "new", kUnfinished); }

StoreState top_is_unmounted(StoreState state) {
  std::string& line = state.at("top");
  line.erase(line.find(", mounted"));
  return state;
}

StoreState top_is_given_back(StoreState state) {
  std::string& line = state.at("top");
  line.back() = '0';
  return state;
}

// Its removal may not survive a power cut, which is an error; it is done all the same.
std::function<StoreState(StoreState)> gone(const char* name) {
  return [=](StoreState state) {
    state.erase(name);
    return state;
  };
}

// A parent that stays read-only has lost nothing.
StoreState top_is_read_only(StoreState state) {
  state.at("top") += ", read-only";
  return state;
}

// Nobody knows any more whether somebody has written to it.
std::function<StoreState(StoreState)> without_record(const char* name) {
  return [=](StoreState state) {
    std::string& line = state.at(name);
    line.erase(line.find(kRecorded), std::string_view(kRecorded).size());
    return state;
  };
}

void remake_unfinished(LayerStore& store, const char* parent) {
  try {
    store.metadata(id("new"));
    store.changes(id("new"), nullptr);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::Corrupt) throw;
    store.remove(id("new"));
    create(store, "new", parent);
  }
}

Operation apply_to(const char* parent) {
  return {.name = std::string("applying a tar to a layer on ") + (parent ? parent : "nothing"),
          .prepare = [=](StoreSandbox& box) { create(*box.store, "new", parent); },
          .run = [=](LayerStore& store) { return apply(store, "new", parent); },
          .between = {unfinished},
          .mend = [=](LayerStore& store) { remake_unfinished(store, parent); }};
}

Operation create_on(const char* parent) {
  return {.name = std::string("creating a layer on ") + (parent ? parent : "nothing"),
          .run = [=](LayerStore& store) { return create(store, "new", parent); },
          .between = {}};
}

void get_times(StoreSandbox& box, const char* name, int times) {
  for (int i = 0; i < times; ++i) box.get(name);
}

Operation getting(const std::string& what, const char* name, int times_before) {
  return {.name = "getting " + what,
          .prepare = [=](StoreSandbox& box) { get_times(box, name, times_before); },
          .run = [=](LayerStore& store) { return get(store, name); }};
}

Operation getting_to_write(const std::string& what, const char* name) {
  Operation operation = getting(what, name, 0);
  operation.between = {without_record(name)};
  return operation;
}

Operation putting(const std::string& what, int times_before,
                  std::string (*put)(LayerStore&, const char*)) {
  return {.name = "putting " + what,
          .prepare = [=](StoreSandbox& box) { get_times(box, "top", times_before); },
          .run = [=](LayerStore& store) { return put(store, "top"); }};
}

Operation putting_the_last(const std::string& and_then,
                           std::string (*put)(LayerStore&, const char*)) {
  Operation operation = putting("the last, " + and_then, 1, put);
  operation.between = {top_is_given_back, top_is_unmounted};
  return operation;
}

Operation reading(const std::string& what,
                  std::string (*read)(LayerStore&, const char*, const char*), const char* name,
                  const char* parent) {
  return {.name = what, .run = [=](LayerStore& store) { return read(store, name, parent); }};
}

std::string size(LayerStore& store, const char* name, const char* parent) {
  return std::to_string(store.diff_size(id(name), parent ? &id(parent) : nullptr));
}

// As after a start that lost the ledger.
void hold_nothing(StoreSandbox& box, const char* name) {
  sys::unlinkat(AT_FDCWD, box.config.state_dir.string() + "/mounts/" + name, 0);
}

void leave_much_to_repair(StoreSandbox& box) {
  const UniqueFd home = box.home();
  const std::string link = sys::read_file(home.get(), "mid/link", 100);
  sys::unlinkat(home.get(), layout::link_path(link), 0);
  sys::symlinkat("../nobody/diff", home.get(), "l/STRAYSTRAYSTRAYSTRAYSTRAYS");
  sys::mkdirat(home.get(), ".overlayd/staging/half", 0700);
  put_file(home.get(), ".overlayd/staging/half/link", "L");
  sys::mkdirat(home.get(), ".overlayd/trash/old", 0700);
  put_file(home.get(), ".overlayd/trash/old/f", "f");
  put_file(home.get(), "loose/size", "12\n");
  put_file(AT_FDCWD, box.config.state_dir.string() + "/mounts/loose", "0000000002\n");
}

void lose_everything(StoreSandbox& box) {
  sys::remove_tree(AT_FDCWD, box.config.home.string());
  sys::remove_tree(AT_FDCWD, box.config.state_dir.string() + "/mounts");
}

}  // namespace

void make_usual_layers(StoreSandbox& sandbox) {
  sandbox.create("base");
  sandbox.apply("base", base_tar());
  sandbox.create("mid", "base");
  sandbox.apply("mid", rich_tar(), "base");
  sandbox.create("top", "mid");
  sandbox.apply("top", TarBuilder().file("dir/more", "m").file(".wh.long").end().str(), "mid");
  sandbox.create("loose");
  sandbox.apply("loose", base_tar());
}

std::vector<Operation> operations() {
  Operation on_top = create_on("top");
  on_top.between = {top_is_read_only};
  return {
      create_on(nullptr),
      create_on("mid"),
      on_top,
      apply_to(nullptr),
      apply_to("mid"),
      getting_to_write("a layer on nothing", "loose"),
      getting_to_write("a layer for the first time", "top"),
      getting("a layer again", "top", 1),
      getting("a read-only layer", "mid", 0),
      getting("a read-only layer on nothing", "base", 0),
      putting("one of two", 2, put),
      putting_the_last("which unmounts", put_and_unmount),
      putting_the_last("and getting at once", put_and_get),
      reading("the diff of a layer and its parent", diff, "top", "mid"),
      reading("the diff of a layer and another ancestor", diff, "top", "base"),
      reading("the diff of a layer and nothing", diff, "mid", nullptr),
      reading("the changes of a layer and its parent", changes, "mid", "base"),
      reading("the changes of a layer and another ancestor", changes, "top", "base"),
      reading("the size of a read-only layer", size, "mid", "base"),
      reading("the size of a layer and another ancestor", size, "top", "base"),
      {.name = "removing a layer",
       .run = [](LayerStore& store) { return remove(store, "top"); },
       .between = {gone("top")}},
      {.name = "removing a mounted layer",
       .prepare = [](StoreSandbox& box) { box.get("top"); },
       .run = [](LayerStore& store) { return remove(store, "top"); },
       .between = {top_is_unmounted, gone("top")}},
      {.name = "removing a layer under others",
       .run = [](LayerStore& store) { return remove(store, "mid"); },
       .between = {gone("mid")}},
      {.name = "removing the last layer on one that was removed",
       .prepare = [](StoreSandbox& box) { box.store->remove(id("mid")); },
       .run = [](LayerStore& store) { return remove(store, "top"); },
       .between = {gone("top")}},
      {.name = "cleaning up",
       .prepare = [](StoreSandbox& box) { box.get("top"), box.get("mid"); },
       .damage = [](StoreSandbox& box) { hold_nothing(box, "top"); },
       .run = [](LayerStore& store) { return store.cleanup(), std::string("clean"); },
       .between = {top_is_unmounted}},
      {.name = "asking for the status",
       .run = [](LayerStore& store) { return store.status().backing_filesystem; }},
      {.name = "opening a store that is not there", .is_open = true, .damage = lose_everything},
      {.name = "opening a store with a mounted layer",
       .is_open = true,
       .prepare = [](StoreSandbox& box) { get_times(box, "top", 2); }},
      {.name = "opening a store with much to repair",
       .is_open = true,
       .damage = leave_much_to_repair},
  };
}

}  // namespace overlayd::test
