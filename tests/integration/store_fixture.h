// SPDX-License-Identifier: Apache-2.0
//
// A store in a sandbox, and short words for what tests do with it.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/layer_store.h"
#include "core/overlay_support.h"
#include "tests/support/eventually.h"
#include "tests/support/root_sandbox.h"

namespace overlayd::test {

/// Keeps what core says. Any thread.
class Notes final : public Observer {
 public:
  void note(NoteLevel level, const std::string& message) noexcept override;
  void applied(uint64_t entries) noexcept override { entries_applied += entries; }
  void sent(uint64_t entries) noexcept override { entries_sent += entries; }
  void committed(std::chrono::nanoseconds) noexcept override { ++commits; }
  std::vector<std::string> all() const;
  bool contains(const std::string& fragment) const;
  void clear();

  std::atomic<uint64_t> entries_applied = 0;
  std::atomic<uint64_t> entries_sent = 0;
  std::atomic<int> commits = 0;

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> messages_;
};

inline LayerId id_of(const std::string& name) { return LayerId::parse(name); }

/// The store of a case, with its home and state directory in a fresh sandbox. Empty names of
/// parents mean no parent.
class StoreSandbox : public RootSandbox {
 public:
  StoreSandbox();
  ~StoreSandbox() { close(); }

  /// Opens the store as `config` says; closes the one that is open.
  LayerStore& open();
  void close() { store.reset(); }

  void create(const std::string& id, const std::string& parent = "");
  std::string get(const std::string& id) { return store->get(id_of(id), ""); }
  void put(const std::string& id) { store->put(id_of(id)); }
  void remove(const std::string& id) { store->remove(id_of(id)); }
  bool exists(const std::string& id) const { return store->exists(id_of(id)); }
  std::string diff(const std::string& id, const std::string& parent = "");
  std::vector<Change> changes(const std::string& id, const std::string& parent = "");
  int64_t diff_size(const std::string& id, const std::string& parent = "");
  int64_t apply(const std::string& id, const std::string& tar, const std::string& parent = "");
  /// Makes a layer holding one file.
  void create_with(const std::string& id, const std::string& parent, const std::string& file,
                   const std::string& content);

  /// Of the home directory.
  UniqueFd home() const;
  /// As the mount table has it after whatever was put before.
  bool mounted(const std::string& id) const;
  /// Waits until the background thread has emptied the trash; false after ten seconds.
  bool trash_empties() const;
  /// Unmounts and removes every layer, children first, and checks that nothing is left of them.
  void remove_everything();

  StoreConfig config;
  Notes notes;
  std::unique_ptr<LayerStore> store;
};

/// The kind of Error that `work` throws, as a word, with its message behind a blank; "" when it
/// throws none.
std::string error_of(const std::function<void()>& work);

}  // namespace overlayd::test
