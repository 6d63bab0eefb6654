// SPDX-License-Identifier: Apache-2.0
#include "tests/crash/checker.h"

#include <fcntl.h>

#include <algorithm>

#include "core/content_check.h"
#include "core/error.h"
#include "core/layer_store.h"
#include "core/layout.h"
#include "core/sys.h"

namespace overlayd::test {
namespace {

/// What a layer may be.
struct Allowed {
  bool absent = false;
  bool empty = false;
  bool full = false;        ///< with the content that it had in the end
  bool unfinished = false;  ///< only Remove
  bool touched = false;     ///< by a call that has begun
  bool in_flight = false;   ///< by one that had not answered
};

bool starts_empty(const std::string& id) { return id.starts_with("empty"); }
bool starts_full(const std::string& id) { return !starts_empty(id) && !id.starts_with("new"); }

Allowed after(Call::Kind kind) {
  switch (kind) {
    case Call::Kind::Apply: return {.full = true};
    case Call::Kind::Remove: return {.absent = true};
    default: return {.empty = true};
  }
}

Allowed allowed_for(const std::string& id, const Workload& workload,
                    const std::vector<CallTimes>& times, uint32_t cut) {
  Allowed allowed{.absent = !starts_full(id) && !starts_empty(id),
                  .empty = starts_empty(id),
                  .full = starts_full(id)};
  for (size_t i = 0; i < workload.calls.size(); ++i) {
    const Call& call = workload.calls[i];
    if (call.id != id || times[i].begun > cut) continue;
    Allowed next = after(call.kind);
    next.touched = true;
    if (times[i].answered > cut) {
      next.absent |= allowed.absent;
      next.empty |= allowed.empty;
      next.full |= allowed.full;
      next.unfinished = call.kind == Call::Kind::Apply;
      next.in_flight = true;
    }
    allowed = next;
  }
  return allowed;
}

std::string first_difference(const std::vector<std::string>& found,
                             const std::vector<std::string>& wanted) {
  for (const std::string& line : wanted) {
    if (std::find(found.begin(), found.end(), line) != found.end()) continue;
    const std::string name = line.substr(0, line.find(": "));
    for (const std::string& other : found) {
      if (other.starts_with(name + ": ")) return "has " + other + " instead of " + line;
    }
    return "lacks " + line;
  }
  return "has more than it should";
}

bool is_empty(const FoundLayer& layer) { return layer.content.size() == 1; }

bool fits(const FoundLayer& layer, const Allowed& allowed, const std::vector<std::string>& full) {
  if (!layer.exists) return allowed.absent;
  if (!layer.damage.empty()) return false;
  if (layer.unfinished) return allowed.unfinished;
  if (is_empty(layer)) return allowed.empty;
  return allowed.full && layer.content == full && layer.unlike_record.empty();
}

std::string describe(const FoundLayer& layer, const std::vector<std::string>& full) {
  if (!layer.exists) return "is not there";
  if (!layer.damage.empty()) return "is damaged: " + layer.damage;
  if (layer.unfinished) return "is unfinished";
  if (is_empty(layer)) return "is empty";
  if (full.empty()) return "is still there";
  if (layer.content != full) return first_difference(layer.content, full);
  return layer.unlike_record.empty() ? "is complete" : layer.unlike_record;
}

Violation::Kind kind_of(const FoundLayer& layer, const Allowed& allowed) {
  if (!allowed.touched) return Violation::Kind::Harmed;
  if (allowed.in_flight) return Violation::Kind::Half;
  const bool nothing_left =
      !layer.exists || layer.unfinished || (is_empty(layer) && !allowed.empty) || allowed.absent;
  return nothing_left ? Violation::Kind::Lost : Violation::Kind::Torn;
}

// Of a layer with content: every one of them was filled by an ApplyDiff.
std::string difference_from_record(int home, const LayerId& id) {
  const auto report = check_content(home, id);
  if (!report) return "has no digests";
  if (report->differences.empty()) return {};
  const ContentDifference& first = report->differences.front();
  return "is not as recorded: " + first.path + " " + first.what;
}

FoundLayer find_layer(LayerStore& store, const std::string& root, const LayerId& id) {
  FoundLayer layer;
  layer.exists = store.exists(id);
  if (!layer.exists) return layer;
  const UniqueFd home = sys::open_path_dir(AT_FDCWD, root + kHome);
  try {
    store.diff(id, nullptr);
  } catch (const Error& error) {
    const std::string partial = layout::in_layer(id, layout::kPartial);
    layer.unfinished = sys::try_fstatat(home.get(), partial).has_value();
    if (!layer.unfinished) layer.damage = error.what();
    return layer;
  }
  const auto lowers = store.metadata(id).lowers;
  if (!lowers.empty()) layer.parent = lowers.front().parent_path().filename().string();
  layer.content = layer_content(root, id.str());
  if (!is_empty(layer)) layer.unlike_record = difference_from_record(home.get(), id);
  return layer;
}

void check_that_it_works(LayerStore& store, const std::map<std::string, FoundLayer>& found) {
  size_t known = 0;
  for (const auto& [id, layer] : found) {
    if (layer.exists) ++known;
  }
  if (store.status().layers != known) {
    throw Error(ErrorKind::Corrupt, "there are layers that nobody made");
  }
  for (const auto& [id, layer] : found) {
    if (layer.unfinished) store.remove(LayerId::parse(id));
  }
  const LayerId base = LayerId::parse(kBaseLayer), probe = LayerId::parse("probe");
  store.create(probe, &base, {});
  store.remove(probe);
}

/// The home directory as Docker's driver reads it.
FoundLayer read_layer(int home, const std::string& root, const std::string& id) {
  FoundLayer layer;
  layer.exists = sys::try_fstatat(home, id).has_value();
  if (!layer.exists) return layer;
  const auto link = sys::try_read_file(home, id + "/link", 100);
  const std::string parent = parent_of(id);
  const auto below = sys::try_read_file(home, parent + "/link", 100);
  const auto lower = sys::try_read_file(home, id + "/lower", 100);
  layer.content = layer_content(root, id);
  if (layer.content.empty()) layer.damage = "it has no content directory";
  if (!link || link->empty() || !sys::try_fstatat(home, "l/" + *link)) {
    layer.damage = "its link is missing or empty";
  }
  if (lower && below && (*lower + ":").starts_with("l/" + *below + ":")) layer.parent = parent;
  return layer;
}

}  // namespace

const char* to_string(Violation::Kind kind) {
  switch (kind) {
    case Violation::Kind::Start: return "start";
    case Violation::Kind::Lost: return "lost";
    case Violation::Kind::Torn: return "torn";
    case Violation::Kind::Half: return "half";
    default: return "harmed";
  }
}

std::map<std::string, FoundLayer> find_with_overlayd(const std::string& root,
                                                     const std::string& state) {
  NullObserver observer;
  StoreConfig config;
  config.home = root + kHome;
  config.state_dir = state;
  config.durability = Durability::None;  // nothing of what follows is to last
  const auto store = LayerStore::open(config, observer);
  std::map<std::string, FoundLayer> found;
  for (const std::string& id : possible_layers()) {
    found.emplace(id, find_layer(*store, root, LayerId::parse(id)));
  }
  check_that_it_works(*store, found);
  return found;
}

std::map<std::string, FoundLayer> find_like_docker(const std::string& root) {
  const UniqueFd home = sys::open_path_dir(AT_FDCWD, root + kHome);
  std::map<std::string, FoundLayer> found;
  for (const std::string& id : possible_layers()) {
    found.emplace(id, read_layer(home.get(), root, id));
  }
  return found;
}

std::vector<Violation> judge(const Workload& workload, const Recording& recording, uint32_t cut,
                             const std::map<std::string, FoundLayer>& found) {
  std::vector<Violation> violations;
  for (const auto& [id, layer] : found) {
    const Allowed allowed = allowed_for(id, workload, recording.times, cut);
    const auto content = recording.contents.find(id);
    const std::vector<std::string> full =
        content == recording.contents.end() ? std::vector<std::string>{} : content->second;
    std::string wrong;
    if (!fits(layer, allowed, full)) {
      wrong = describe(layer, full);
    } else if (layer.exists && !layer.unfinished && layer.parent != parent_of(id)) {
      wrong = "has the parent '" + layer.parent + "'";
    }
    if (!wrong.empty()) violations.push_back({kind_of(layer, allowed), id + " " + wrong});
  }
  return violations;
}

}  // namespace overlayd::test
