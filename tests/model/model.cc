// SPDX-License-Identifier: Apache-2.0
#include "tests/model/model.h"

#include <algorithm>
#include <optional>

namespace overlayd::model {
namespace {

constexpr const char* kAbsent = "there is no ";
constexpr const char* kExists = "exists already";
constexpr const char* kFilling = "is being filled";
constexpr const char* kUnfinished = "can only be removed: its ApplyDiff did not finish";

bool valid(const std::string& id) {
  return !id.empty() && id.size() <= 255 && id != "l" && id.front() != '.' &&
         id.find('/') == std::string::npos;
}

/// A layer that nothing lies on goes, and those below that are there only for it.
void bury(std::string id, State& state) {
  for (bool is_over = true; is_over;) {
    const std::string parent = state.layers.at(id).parent;
    state.layers.erase(id);
    if (parent.empty()) return;
    Layer& below = state.layers.at(parent);
    is_over = --below.children == 0 && below.gone;
    id = parent;
  }
}

}  // namespace

bool Layer::writable() const {
  const bool plain = parent.empty() && mount == Mount::None && !seen && holders > 0;
  return !committed && !unfinished && !gone && (plain || (mount == Mount::ReadWrite && seen));
}

State restarted(State state) {
  for (auto& [id, layer] : state.layers) layer.children = 0;
  for (auto& [id, layer] : state.layers) {
    layer.filling = false;
    // The holders of what is not mounted are not recorded.
    if (!layer.seen || layer.mount == Mount::None) layer.holders = 0;
    layer.seen = layer.mount != Mount::None;
    if (layer.holders == 0 && !layer.rooted) {  // given back before
      layer.mount = Mount::None;
      layer.seen = false;
    }
    if (!layer.parent.empty()) ++state.layers.at(layer.parent).children;
  }
  const auto is_over = [](const auto& entry) {
    return entry.second.gone && entry.second.children == 0;
  };
  for (auto over = std::ranges::find_if(state.layers, is_over); over != state.layers.end();
       over = std::ranges::find_if(state.layers, is_over)) {
    bury(over->first, state);
  }
  state.pending.clear();
  return state;
}

bool possible(const Act& act, const State& state) {
  if (act.id.empty()) return true;
  const auto found = state.layers.find(act.id);
  if (found == state.layers.end()) return false;
  const Layer& layer = found->second;
  switch (act.kind) {
    case Act::Kind::Edit: return layer.writable() && possible(act.edit, *layer.tree);
    case Act::Kind::Enter: return layer.mount != Mount::None && !layer.rooted;
    case Act::Kind::Leave: return layer.rooted;
    default: return layer.mount != Mount::None;
  }
}

State done(const Act& act, State state) {
  if (act.id.empty()) return restarted(std::move(state));
  Layer& layer = state.layers.at(act.id);
  if (act.kind == Act::Kind::Edit) {
    layer.tree = SharedTree(edited(act.edit, *layer.tree));
    layer.empty = false;
  }
  // Whose root it is ends with the mount.
  if (act.kind == Act::Kind::Unmount) layer.mount = Mount::None;
  if (act.kind != Act::Kind::Edit) layer.rooted = act.kind == Act::Kind::Enter;
  return state;
}

// One part of a call of one lane, on a copy of the state.
class Model::Step {
 public:
  Step(const std::string& home, const State& state, size_t lane, const Call& call, unsigned part,
       const Answer* answer)
      : home_(home), state_(state), lane_(lane), call_(call), part_(part), answer_(answer) {
    if (state_.pending.size() <= lane) state_.pending.resize(lane + 1);
  }

  std::vector<Next> run() {
    if (part_ == 0) pending() = {};
    const bool names_layer = call_.kind > Call::Kind::Cleanup;
    if (names_layer && !valid(call_.id)) {
      refuse("layer id");
    } else {
      dispatch();
    }
    return std::move(next_);
  }

 private:
  void dispatch() {
    switch (call_.kind) {
      case Call::Kind::Init: return succeed("{}\n");
      case Call::Kind::Capabilities:
        return succeed("{\"Capabilities\":{\"ReproducesExactDiffs\":false}}\n");
      case Call::Kind::Status: return succeed(std::nullopt);
      case Call::Kind::Cleanup: return cleanup();
      case Call::Kind::Create:
      case Call::Kind::CreateReadWrite: return part_ == 0 ? adopt() : publish();
      case Call::Kind::Remove: return part_ == 0 ? take_away() : forget();
      case Call::Kind::Get: return get();
      case Call::Kind::Put: return put();
      case Call::Kind::Exists:
        return succeed(std::string("{\"Exists\":") + (find_there() ? "true" : "false") + "}\n");
      case Call::Kind::GetMetadata: return metadata();
      case Call::Kind::ApplyDiff: return part_ == 0 ? begin_filling() : end_filling();
      default: return part_ == 0 ? begin_reading() : part_ == 1 ? look() : end_reading();
    }
  }

  // ---- what comes of it

  /// The call is over, with this answer: a text, a tar that says all that is pending, or anything.
  void succeed(const std::optional<std::string>& text) {
    if (!answer_ || (answer_->kind == Answer::Kind::Success && (!text || answer_->text == *text))) {
      finish();
    }
  }
  void refuse(const std::string& why) {
    if (!answer_ ||
        (answer_->kind == Answer::Kind::Failure && answer_->text.find(why) != std::string::npos)) {
      finish();
    }
  }
  void finish() {
    pending() = {};
    next_.push_back({state_, true});
  }
  void go_on() { next_.push_back({state_, false}); }

  // ---- looking up

  State::Pending& pending() { return state_.pending[lane_]; }
  Layer* find(const std::string& id) {
    const auto found = state_.layers.find(id);
    return found == state_.layers.end() ? nullptr : &found->second;
  }
  Layer* find() { return find(call_.id); }
  Layer* find_there(const std::string& id) {
    Layer* layer = find(id);
    return layer && !layer->lingers() ? layer : nullptr;
  }
  Layer* find_there() { return find_there(call_.id); }
  /// The layer that the call has begun with, if it is still there.
  Layer* find_same() {
    Layer* layer = find();
    return layer && !layer->gone && layer->made == pending().made ? layer : nullptr;
  }
  static const char* why_unusable(const Layer* layer) {
    if (!layer || layer->gone) return kAbsent;
    if (layer->filling) return kFilling;
    return layer->unfinished ? kUnfinished : nullptr;
  }
  SharedTree tree_of(const std::string& id) { return id.empty() ? SharedTree() : find(id)->tree; }

  // ---- Create

  void adopt() {
    if (const Layer* same = find()) {
      refuse(kExists);
      if (!same->lingers()) return;
    }
    if (!call_.parent.empty()) {
      Layer* parent = find(call_.parent);
      if (const char* why = why_unusable(parent)) return refuse(why);
      pending().marked = !parent->committed;
      parent->committed = true;
      ++parent->children;
    }
    go_on();
  }

  void publish() {
    const Layer* same = find();
    if (same && (!same->gone || same->lingers())) {
      disown();
      return refuse(kExists);
    }
    state_.layers[call_.id] =
        Layer{.parent = call_.parent, .made = call_.number, .tree = tree_of(call_.parent)};
    succeed("{}\n");
  }

  void disown() {
    if (call_.parent.empty()) return;
    Layer* parent = find(call_.parent);
    if (--parent->children > 0) return;
    if (parent->gone) return bury(call_.parent, state_);
    if (pending().marked) parent->committed = false;
  }

  // ---- Remove

  void take_away() {
    Layer* layer = find();
    if (!layer || layer->gone) return succeed("{}\n");
    if (layer->filling) return;  // it waits
    take_down(*layer);
    if (!answer_) finish();  // a kill may come between taking it down and taking it away
    layer->gone = true;
    pending() = {.made = layer->made};
    go_on();
  }

  void forget() {
    const Layer* layer = find();
    if (layer && layer->made == pending().made && !layer->lingers()) bury(call_.id, state_);
    succeed("{}\n");
  }

  // ---- Get, Put, Cleanup

  static void take_down(Layer& layer) {
    layer.mount = Mount::None;
    layer.seen = layer.rooted = false;
    layer.holders = 0;
  }

  static void notice_unmount(Layer& layer) {
    if (layer.seen && layer.mount == Mount::None) take_down(layer);
  }

  static void release(Layer& layer) {
    layer.holders = 0;
    if (!layer.rooted) take_down(layer);
  }

  void get() {
    Layer* layer = find();
    if (const char* why = why_unusable(layer)) return refuse(why);
    notice_unmount(*layer);
    const bool plain =
        layer->parent.empty() && !layer->seen && (!layer->committed || layer->holders > 0);
    if (!plain && !layer->seen) {
      layer->mount = layer->committed ? Mount::ReadOnly : Mount::ReadWrite;
      layer->seen = true;
    }
    ++layer->holders;
    succeed("{\"Dir\":\"" + path(call_.id, plain ? "diff" : "merged") + "\"}\n");
  }

  void put() {
    Layer* layer = find();
    if (layer && !layer->gone) {
      notice_unmount(*layer);
      const unsigned left = layer->holders > 0 ? layer->holders - 1 : 0;
      if (layer->seen && left == 0) {
        release(*layer);
      } else {
        layer->holders = left;
      }
    }
    succeed("{}\n");
  }

  void cleanup() {
    for (auto& [id, layer] : state_.layers) {
      notice_unmount(layer);
      if (layer.seen && layer.holders == 0) release(layer);
    }
    succeed("{}\n");
  }

  // ---- GetMetadata

  std::string path(const std::string& id, const char* name) const {
    return home_ + "/" + id + "/" + name;
  }

  void metadata() {
    const Layer* layer = find_there();
    if (!layer) return refuse(kAbsent);
    std::string lowers;
    for (std::string at = layer->parent; !at.empty(); at = find(at)->parent) {
      lowers += (lowers.empty() ? "\"LowerDir\":\"" : ":") + path(at, "diff");
    }
    if (!lowers.empty()) lowers += "\",";
    succeed("{\"Metadata\":{" + lowers + "\"MergedDir\":\"" + path(call_.id, "merged") +
            "\",\"UpperDir\":\"" + path(call_.id, "diff") + "\",\"WorkDir\":\"" +
            path(call_.id, "work") + "\"}}\n");
  }

  // ---- ApplyDiff

  void begin_filling() {
    Layer* layer = find();
    if (const char* why = why_unusable(layer)) return refuse(why);
    if (!call_.parent.empty() && call_.parent != layer->parent) {
      return refuse("is not the parent of");
    }
    if (layer->committed) return refuse("has children");
    if (layer->seen || layer->holders > 0) return refuse("is in use");
    if (!layer->empty) return refuse("has content already");
    layer->filling = layer->unfinished = true;
    go_on();
  }

  void end_filling() {
    Layer* layer = find();
    layer->filling = false;
    if (call_.fault != Call::Fault::None) return refuse("apply layer");
    layer->unfinished = false;
    layer->empty = call_.members.empty();
    layer->tree = SharedTree(applied(call_.members, *tree_of(layer->parent)));
    succeed("{\"Size\":" + std::to_string(size_of(files_of(call_.members))) + "}\n");
  }

  // ---- Diff, Changes, DiffSize

  void begin_reading() {
    const Layer* layer = find();
    if (const char* why = why_unusable(layer)) return refuse(why);
    std::string above = layer->parent;
    while (!call_.parent.empty() && above != call_.parent) {
      if (above.empty())
        return refuse(find_there(call_.parent) ? "is not an ancestor of" : kAbsent);
      above = find(above)->parent;
    }
    pending().made = layer->made;
    pending().before = tree_of(call_.parent);
    go_on();
  }

  void look() {
    if (const Layer* layer = find_same()) pending().now = layer->tree;
    go_on();
  }

  void end_reading() {
    if (!find_same()) return refuse("");
    const Tree& now = *pending().now;
    const Tree& before = *pending().before;
    switch (call_.kind) {
      case Call::Kind::Changes: return succeed(changes_between(now, before));
      case Call::Kind::DiffSize:
        return succeed("{\"Size\":" + std::to_string(size_of(carried(now, before))) + "}\n");
      default:
        if (answer_ && answer_->kind == Answer::Kind::Success &&
            (applied(answer_->members, before) != now ||
             files_of(answer_->members) != carried(now, before))) {
          return;
        }
        return succeed(std::nullopt);
    }
  }

  const std::string& home_;
  State state_;
  size_t lane_;
  const Call& call_;
  unsigned part_;
  const Answer* answer_;
  std::vector<Next> next_;
};

std::vector<Model::Next> Model::step(const State& state, size_t lane, const Call& call,
                                     unsigned part, const Answer* answer) const {
  return Step(home_, state, lane, call, part, answer).run();
}

const char* name_of(Act::Kind kind) {
  static constexpr const char* kNames[] = {"edit",  "unmount behind its back", "enter",
                                           "leave", "stop and start",          "kill and start"};
  return kNames[static_cast<int>(kind)];
}

std::string to_string(const Act& act) {
  std::string text = name_of(act.kind);
  if (!act.id.empty()) text += " " + act.id;
  if (act.kind == Act::Kind::Edit) text += ": " + to_string(act.edit);
  return text;
}

std::string to_string(const State& state) {
  std::string text;
  for (const auto& [id, layer] : state.layers) {
    text += "  " + id;
    if (!layer.parent.empty()) text += " on " + layer.parent;
    if (layer.mount == Mount::ReadOnly) text += ", mounted read-only";
    if (layer.mount == Mount::ReadWrite) text += ", mounted";
    if (layer.seen && layer.mount == Mount::None) text += ", unmounted behind its back";
    if (layer.holders > 0) text += ", held " + std::to_string(layer.holders) + " times";
    if (layer.rooted) text += ", somebody's root";
    if (layer.children > 0) text += ", under " + std::to_string(layer.children);
    if (layer.committed) text += ", committed";
    if (layer.filling) text += ", being filled";
    if (layer.unfinished) text += ", unfinished";
    if (layer.gone) text += ", gone";
    if (layer.empty) text += ", empty";
    text += ':';
    for (const auto& [path, file] : *layer.tree) {
      text += " " + path + (file == kDirectory ? "/" : "=" + std::to_string(file));
    }
    text += '\n';
  }
  return text;
}

}  // namespace overlayd::model
