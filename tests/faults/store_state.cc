// SPDX-License-Identifier: Apache-2.0
#include "tests/faults/store_state.h"

#include <fcntl.h>

#include <functional>
#include <optional>

#include "core/content_check.h"
#include "core/error.h"
#include "core/layout.h"
#include "core/mount.h"
#include "core/mount_ledger.h"
#include "core/sys.h"

namespace overlayd::test {
namespace {

std::string digest_of_diff(LayerStore& store, const LayerId& id, const LayerId* parent) {
  StringSink sink;
  store.diff(id, parent)->write_to(sink);
  return digest(sink.text());
}

std::optional<LayerId> parent_of(const LayerStore& store, const LayerId& id) {
  const auto lowers = store.metadata(id).lowers;
  if (lowers.empty()) return std::nullopt;
  return LayerId::parse(lowers.front().parent_path().filename().string());
}

size_t count_changes(LayerStore& store, const LayerId& id, const LayerId* parent) {
  size_t count = 0;
  store.changes(id, parent)->write_to([&](std::string_view, ChangeKind) { ++count; });
  return count;
}

std::string record_of(LayerStore& store, const LayerId& id) {
  const UniqueFd home = sys::open_path_dir(AT_FDCWD, store.config().home.string());
  const auto report = check_content(home.get(), id);
  if (!report) return {};
  if (report->differences.empty()) return kRecorded;
  const ContentDifference& first = report->differences.front();
  return ", recorded otherwise: " + first.path + " " + first.what;
}

std::string content_line(LayerStore& store, const LayerId& id) {
  const auto parent = parent_of(store, id);
  const LayerId* on = parent ? &*parent : nullptr;
  std::string line = parent ? "on " + parent->str() : "on nothing";
  line += ", own " + digest_of_diff(store, id, on);
  line += ", whole " + digest_of_diff(store, id, nullptr);
  line += ", " + std::to_string(count_changes(store, id, on)) + " changes";
  line += ", " + std::to_string(store.diff_size(id, on)) + " bytes";
  line += record_of(store, id);
  return line;
}

}  // namespace

StoreState state_of(LayerStore& store) {
  const UniqueFd home = sys::open_path_dir(AT_FDCWD, store.config().home.string());
  const auto holders = MountLedger(store.config().state_dir).load();
  StoreState state;
  state["the store"] = "mounts by " + std::string(to_string(store.status().mount_method));
  for (const sys::DirEntry& entry : sys::list_directory(home.get())) {
    if (entry.name == layout::kLinkDirectory || entry.name == layout::kOwnDirectory) continue;
    const LayerId id = LayerId::parse(entry.name);
    if (!store.exists(id)) {
      const bool removed =
          sys::try_fstatat(home.get(), layout::in_layer(id, layout::kRemoved)).has_value();
      if (!removed) state[id.str()] = "unknown to the store";
      continue;
    }
    std::string& line = state[id.str()];
    try {
      line = content_line(store, id);
    } catch (const Error& error) {
      line = to_string(error.kind());
      if (error.kind() != ErrorKind::Corrupt) line += std::string(": ") + error.what();
    }
    if (sys::try_fstatat(home.get(), layout::in_layer(id, layout::kCommitted))) {
      line += ", read-only";
    }
    if (is_mount_point(home.get(), layout::in_layer(id, layout::kMerged))) {
      const auto held = holders.find(id);
      line += ", mounted for " + std::to_string(held == holders.end() ? 0 : held->second);
    }
  }
  return state;
}

std::string to_text(const StoreState& state) {
  std::string text;
  for (const auto& [id, line] : state) text += "\n  " + id + ": " + line;
  return text;
}

StoreState with_line(StoreState state, const std::string& id, const std::string& line) {
  state[id] = line;
  return state;
}

std::string digest(const std::string& bytes) {
  return std::to_string(std::hash<std::string>{}(bytes)) + "/" + std::to_string(bytes.size());
}

}  // namespace overlayd::test
