// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/store_fixture.h"

#include <fcntl.h>

#include <algorithm>
#include <new>
#include <optional>

#include <doctest/doctest.h>

#include "core/layout.h"
#include "core/mount.h"
#include "core/sys.h"
#include "tests/integration/overlay_fixture.h"

namespace overlayd::test {
namespace {

/// An id where core takes a pointer to one.
class OptionalId {
 public:
  explicit OptionalId(const std::string& name) {
    if (!name.empty()) id_ = id_of(name);
  }
  const LayerId* get() const { return id_ ? &*id_ : nullptr; }

 private:
  std::optional<LayerId> id_;
};

}  // namespace

void Notes::note(NoteLevel level, const std::string& message) noexcept {
  const std::lock_guard lock(mutex_);
  try {
    messages_.push_back((level == NoteLevel::Warning ? "warning: " : "info: ") + message);
  } catch (const std::bad_alloc&) {
    // Where allocations are made to fail, a note is not what is tested.
  }
}

std::vector<std::string> Notes::all() const {
  const std::lock_guard lock(mutex_);
  return messages_;
}

bool Notes::contains(const std::string& fragment) const {
  const auto messages = all();
  return std::any_of(messages.begin(), messages.end(), [&](const std::string& message) {
    return message.find(fragment) != std::string::npos;
  });
}

void Notes::clear() {
  const std::lock_guard lock(mutex_);
  messages_.clear();
}

StoreSandbox::StoreSandbox() {
  config.home = path() + "/home";
  config.state_dir = path() + "/state";
  sys::mkdirat(fd(), "state", 0700);
}

LayerStore& StoreSandbox::open() {
  close();
  store = LayerStore::open(config, notes);
  return *store;
}

void StoreSandbox::create(const std::string& id, const std::string& parent) {
  store->create(id_of(id), OptionalId(parent).get(), {});
}

std::string StoreSandbox::diff(const std::string& id, const std::string& parent) {
  StringSink sink;
  store->diff(id_of(id), OptionalId(parent).get())->write_to(sink);
  return sink.text();
}

std::vector<Change> StoreSandbox::changes(const std::string& id, const std::string& parent) {
  std::vector<Change> all;
  store->changes(id_of(id), OptionalId(parent).get())
      ->write_to([&](std::string_view path, ChangeKind kind) {
        all.push_back({std::string(path), kind});
      });
  return all;
}

int64_t StoreSandbox::diff_size(const std::string& id, const std::string& parent) {
  return store->diff_size(id_of(id), OptionalId(parent).get());
}

int64_t StoreSandbox::apply(const std::string& id, const std::string& tar,
                            const std::string& parent) {
  StringSource source(tar);
  return store->apply_diff(id_of(id), OptionalId(parent).get(), source);
}

void StoreSandbox::create_with(const std::string& id, const std::string& parent,
                               const std::string& file, const std::string& content) {
  create(id, parent);
  const UniqueFd root = sys::open_path_dir(AT_FDCWD, get(id));
  put_file(root.get(), file, content);
  put(id);
}

UniqueFd StoreSandbox::home() const { return sys::open_path_dir(AT_FDCWD, config.home.string()); }

bool StoreSandbox::mounted(const std::string& id) const {
  if (store) store->idle();
  return is_mount_point(home().get(), id + "/" + layout::kMerged);
}

bool StoreSandbox::trash_empties() const {
  const UniqueFd trash = sys::open_path_dir(home().get(), layout::kTrashDirectory);
  return eventually([&] { return sys::list_directory(trash.get()).empty(); });
}

void StoreSandbox::remove_everything() {
  const UniqueFd dir = home();
  for (bool progress = true; progress;) {
    progress = false;
    for (const sys::DirEntry& entry : sys::list_directory(dir.get())) {
      if (entry.name == layout::kLinkDirectory || entry.name == layout::kOwnDirectory) continue;
      progress |= error_of([&] { remove(entry.name); }).empty();
    }
  }
  for (const sys::DirEntry& entry : sys::list_directory(dir.get())) {
    const bool is_ours =
        entry.name == layout::kLinkDirectory || entry.name == layout::kOwnDirectory;
    CHECK_MESSAGE(is_ours, "left in the home: " << entry.name);
  }
  for (const char* name : {layout::kLinkDirectory, layout::kStagingDirectory}) {
    const auto left = sys::list_directory(sys::open_path_dir(dir.get(), name).get());
    CHECK_MESSAGE(left.empty(), "left in " << name << ": " << left.size());
  }
  const UniqueFd ledger = sys::open_path_dir(AT_FDCWD, config.state_dir.string() + "/mounts");
  CHECK(sys::list_directory(ledger.get()).empty());
  CHECK(store->status().layers == 0);
  CHECK(store->idle());
  CHECK(trash_empties());
}

std::string error_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return std::string(to_string(error.kind())) + " " + error.what();
  }
  return {};
}

}  // namespace overlayd::test
