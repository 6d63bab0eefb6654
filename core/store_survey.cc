// SPDX-License-Identifier: Apache-2.0
#include "core/store_survey.h"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>

#include "core/error.h"
#include "core/layout.h"
#include "core/store_listing.h"
#include "core/sys.h"

namespace overlayd {
namespace {

using Gravity = Finding::Gravity;

constexpr mode_t kFileMode = 0644;

/// A layer as found, before it is known whose child it is.
struct Found {
  LayerId id;
  LayerContents contents;
  std::string damage = {};
  std::string link = {};
  std::string link_damage = "its 'link' file is missing or damaged";  // should there be none
  std::string lower = {};            // its text; of a torn one, what names links at its front
  bool is_torn = false;              // `lower` is to be written anew
  std::optional<size_t> place = {};  // in Survey::layers
};

class Surveyor {
 public:
  explicit Surveyor(StoreListing listing) : targets_(std::move(listing.links)) {
    survey_.as_recorded = listing.as_recorded;
    found_.reserve(listing.layers.size());
    by_link_.reserve(listing.layers.size());
    survey_.layers.reserve(listing.layers.size());
    for (ListedLayer& layer : listing.layers) {
      found_.push_back({.id = std::move(layer.id),
                        .contents = std::move(layer.contents),
                        .damage = std::move(layer.damage)});
    }
  }

  Survey run() {
    for (Found& found : found_) {
      take_lower(found);
      claim_link(found);
    }
    for (Found& found : found_) find_lost_link(found);
    for (Found& found : found_) judge_lower(found);
    for (Found& found : found_) find_lost_parent(found);
    for (Found& found : found_) place(found);
    note_lost_marks();
    note_unfinished();
    compare_links();
    return std::move(survey_);
  }

 private:
  // ------------------------------------------------------------------------------------- links

  // Two layers may say that they have the same link, when somebody copied a directory. l/ tells
  // which of them children mean.
  void claim_link(Found& found) {
    if (!found.contents.link || !layout::is_link(*found.contents.link)) return;
    found.link = *found.contents.link;
    const auto [claim, is_first] = by_link_.emplace(found.link, &found);
    if (is_first) return;
    Found* loser = &found;
    if (l_names(found)) std::swap(loser, claim->second);
    loser->link_damage =
        "its 'link' file says the same as that of layer " + quoted(claim->second->id.str());
    loser->link.clear();
  }

  // Whether l/<its link> leads to it.
  bool l_names(const Found& found) const {
    const auto target = targets_.find(found.link);
    return target != targets_.end() && leads_to(target->second, found);
  }

  static bool leads_to(const std::optional<std::string>& target, const Found& found) {
    return target && layout::id_in_link_target(*target) == found.id.str();
  }

  void find_lost_link(Found& found) {
    if (!found.link.empty() || !found.damage.empty()) return;
    std::vector<std::string> candidates = links_to(found.id);
    if (candidates.size() > 1) {
      // If no layer means any of them, each is as good.
      const auto meant = [&](const std::string& link) { return mentions().contains(link); };
      if (std::any_of(candidates.begin(), candidates.end(), meant)) {
        std::erase_if(candidates, [&](const std::string& link) { return !meant(link); });
      } else {
        candidates.resize(1);
      }
    }
    if (candidates.size() != 1) {
      found.damage = found.link_damage;
      return;
    }
    found.link = candidates.front();
    by_link_.emplace(found.link, &found);
    note(Gravity::Damage, found.id.str(), "the file is missing or damaged",
         {.kind = Repair::Kind::WriteFile,
          .path = layout::in_layer(found.id, layout::kLink),
          .content = found.link,
          .done = "restored the 'link' file of layer " + quoted(found.id.str())});
  }

  // In l/, of the names that no layer has.
  std::vector<std::string> links_to(const LayerId& id) {
    if (links_by_target_.empty()) {
      for (const auto& [link, target] : targets_) {
        if (target && layout::is_link(link)) links_by_target_.emplace(*target, link);
      }
    }
    std::vector<std::string> links;
    const auto [begin, end] = links_by_target_.equal_range(layout::link_target(id));
    for (auto at = begin; at != end; ++at) {
      if (!by_link_.contains(at->second)) links.push_back(at->second);
    }
    std::ranges::sort(links);
    return links;
  }

  // ----------------------------------------------------------------------------------- parents

  // What is whole is in `contents` no longer.
  static void take_lower(Found& found) {
    std::optional<std::string>& text = found.contents.lower;
    if (!text) {
      found.is_torn = found.contents.work;  // which only what lies on something has
      return;
    }
    const size_t front = layout::front_of_lower(*text).size();
    found.is_torn = front == 0 || front < text->size();
    found.lower = found.is_torn ? text->substr(0, front) : std::move(*text);
  }

  static void judge_lower(Found& found) {
    if (found.damage.empty() && !found.contents.diff) found.damage = "it has no 'diff' directory";
  }

  void find_lost_parent(Found& found) {
    if (!found.is_torn || !found.lower.empty() || !found.damage.empty()) return;
    std::set<std::string> candidates = parents_by_children(found.link);
    // An engine makes <id>-init for nothing but to put <id> on it.
    if (const Found* init = find(init_of(found.id)); candidates.empty() && init != nullptr) {
      candidates.insert(init->link);
    }
    const std::string parent = candidates.size() == 1 ? *candidates.begin() : std::string();
    if (!parent.empty()) {
      found.lower = layout::link_path(parent);
    } else if (candidates.size() == 1 && !found.contents.lower) {
      found.is_torn = false;  // those above know it as the lowest, and it says nothing else
    } else {
      found.damage = damage_of_lower(found);
    }
  }

  static std::string damage_of_lower(const Found& found) {
    if (!found.contents.lower) return "its 'lower' file is missing";
    try {
      layout::parse_lower(*found.contents.lower);
    } catch (const Error& error) {
      return error.what();
    }
    return "its 'lower' file is damaged";
  }

  const Found* find(const LayerId& id) const {
    const auto at = std::ranges::lower_bound(found_, id, {}, &Found::id);
    return at != found_.end() && at->id == id ? &*at : nullptr;
  }

  static LayerId init_of(const LayerId& id) {
    if (id.str().size() + layout::kInitSuffix.size() > LayerId::kMaxLength) return id;
    return LayerId::parse(id.str() + std::string(layout::kInitSuffix));
  }

  // What comes behind `link` in other layers' `lower` files; "" for nothing.
  std::set<std::string> parents_by_children(const std::string& link) {
    const auto known = mentions().find(link);
    return known == mentions().end() ? std::set<std::string>() : known->second;
  }

  // The links in all `lower` files that are whole, each with what comes behind it.
  const std::map<std::string, std::set<std::string>>& mentions() {
    if (mentions_) return *mentions_;
    mentions_.emplace();
    for (const Found& found : found_) {
      if (found.is_torn || found.lower.empty()) continue;
      const std::vector<std::string> links = layout::parse_lower(found.lower);
      for (size_t i = 0; i < links.size(); ++i) {
        (*mentions_)[links[i]].insert(i + 1 < links.size() ? links[i + 1] : std::string());
      }
    }
    return *mentions_;
  }

  // -------------------------------------------------------------------------------------- tree

  // Walks up to the first layer already placed, then places the ones below it on the way back.
  // Iterative: a damaged store may claim any depth. A layer met twice on the way up lies on itself.
  void place(Found& top) {
    std::vector<Found*> path;
    std::optional<size_t> parent;
    std::string damage_below;
    for (Found* at = &top; at != nullptr;) {
      if (at->place) {
        parent = at->place;
        break;
      }
      if (std::ranges::find(path, at) != path.end()) {
        damage_below = "its chain of parents is a circle";
        break;
      }
      path.push_back(at);
      at = parent_of(*at, damage_below);
    }
    for (auto step = path.rbegin(); step != path.rend(); ++step) {
      parent = add(**step, parent, damage_below);
      damage_below.clear();
    }
  }

  // Null: none, or none that is there.
  Found* parent_of(const Found& found, std::string& damage) const {
    if (!found.damage.empty() || found.lower.empty()) return nullptr;
    const std::string link(layout::first_of_lower(found.lower));
    const auto parent = by_link_.find(link);
    if (parent != by_link_.end()) return parent->second;
    damage = "its parent, link " + link + ", is not there";
    return nullptr;
  }

  size_t add(Found& found, std::optional<size_t> parent, const std::string& damage_below) {
    const LayerId& id = found.id;
    std::string damage = !found.damage.empty() ? found.damage : damage_below;
    if (damage.empty() && parent) damage = lie_on(found, survey_.layers[*parent]);
    if (!damage.empty()) {
      survey_.findings.push_back(
          {.gravity = Gravity::Damage, .layer = id.str(), .file = id.str(), .what = damage});
    }
    const LayerContents& contents = found.contents;
    LayerRecord record{
        .link = found.link,
        .lower = std::move(found.lower),
        .committed = contents.committed || contents.removed,
        .removed = contents.removed,
        .partial = contents.partial,
        .size = contents.committed || contents.removed ? contents.size : std::nullopt,
        .has_digests = contents.has_digests && !contents.partial};
    survey_.layers.push_back({.id = id,
                              .record = std::move(record),
                              .parent = parent,
                              .damage = std::move(damage),
                              .merged = contents.merged});
    found.place = survey_.layers.size() - 1;
    return *found.place;
  }

  // Completes `lower` if what there is of it is the beginning of what it must be. Returns what is
  // wrong otherwise.
  std::string lie_on(Found& found, const SurveyedLayer& parent) {
    if (!parent.damage.empty()) return "it lies on the damaged layer " + quoted(parent.id.str());
    std::string lower = layout::lower_on(parent.record.link, parent.record.lower);
    if (!lower.starts_with(found.lower)) return "its 'lower' file contradicts its parent's";
    if (!found.is_torn && found.lower.size() == lower.size()) return {};
    note(Gravity::Damage, found.id.str(), "the file is missing or damaged",
         {.kind = Repair::Kind::WriteFile,
          .path = layout::in_layer(found.id, layout::kLower),
          .content = lower,
          .done = "restored the 'lower' file of layer " + quoted(found.id.str()) +
                  ", which lies on " + quoted(parent.id.str())});
    found.lower = std::move(lower);
    return {};
  }

  // ------------------------------------------------------------------------------------- marks

  // A layer under another must not be written to: engines before 19.03.3 did not say so on disk.
  void note_lost_marks() {
    std::vector<bool> has_children(survey_.layers.size());
    for (const SurveyedLayer& layer : survey_.layers) {
      if (layer.parent) has_children[*layer.parent] = true;
    }
    for (size_t i = 0; i < survey_.layers.size(); ++i) {
      SurveyedLayer& layer = survey_.layers[i];
      if (layer.record.committed) continue;
      // A size counts only while the layer is committed: nobody knows what was written since.
      if (find(layer.id)->contents.has_size) drop_size(layer.id);
      if (!has_children[i]) continue;
      layer.record.committed = true;
      restore_mark(layer.id);
    }
  }

  void drop_size(const LayerId& id) {
    note(Gravity::Leftover, id.str(), "the size of a layer that is not read-only is recorded",
         {.kind = Repair::Kind::Unlink,
          .path = layout::in_layer(id, layout::kSize),
          .content = {},
          .done = "removed the outdated size of layer " + quoted(id.str())});
  }

  void restore_mark(const LayerId& id) {
    note(Gravity::Damage, id.str(), "other layers lie on it, and it is not marked as read-only",
         {.kind = Repair::Kind::WriteFile,
          .path = layout::in_layer(id, layout::kCommitted),
          .content = {},
          .done = "marked layer " + quoted(id.str()) + " as read-only: others lie on it"});
  }

  // Files of which nobody has read anything yet.
  void note_unfinished() {
    for (const Found& found : found_) {
      for (const std::string& name : found.contents.unfinished) {
        const std::string path = layout::in_layer(found.id, name.c_str());
        note(Gravity::Leftover, found.id.str(), "a file that was never finished",
             {.kind = Repair::Kind::Unlink,
              .path = path,
              .content = {},
              .done = "removed the unfinished file " + quoted(path)});
      }
    }
  }

  // ---------------------------------------------------------------------------------------- l/

  // Makes l/ say what the layers' own 'link' files say.
  void compare_links() {
    size_t had = 0;  // of the names in l/
    std::vector<const Found*> unnamed;
    for (const Found& found : found_) {
      if (found.link.empty()) continue;
      const auto target = targets_.find(found.link);
      const bool is_there = target != targets_.end();
      if (is_there) ++had;
      if (!is_there || !leads_to(target->second, found)) unnamed.push_back(&found);
    }
    if (had < targets_.size()) judge_strays();
    for (const Found* found : unnamed) want_link(found->link, found->id);
  }

  void judge_strays() {
    std::vector<std::string> strays;
    for (const auto& [name, target] : targets_) {
      if (!by_link_.contains(name)) strays.push_back(name);
    }
    std::ranges::sort(strays);
    for (const std::string& name : strays) judge_stray(name, targets_.at(name));
  }

  void judge_stray(const std::string& name, const std::optional<std::string>& target) {
    const std::string path = layout::link_path(name);
    if (!target) {
      survey_.findings.push_back({.gravity = Gravity::Leftover,
                                  .layer = {},
                                  .file = path,
                                  .what = quoted(name) + " in l/ is no link; it is left alone"});
      return;
    }
    // What the 'link' file of a damaged layer could be restored from by hand.
    const std::string id(layout::id_in_link_target(*target));
    if (is_without_link(id)) return;
    // Left by an interrupted Create or Remove, or a second link to a layer: nothing is lost with
    // it.
    note(Gravity::Leftover, {}, "a link that no layer has",
         {.kind = Repair::Kind::Unlink,
          .path = path,
          .content = {},
          .done = "removed the stray link " + path});
  }

  bool is_without_link(const std::string& id) const {
    return std::any_of(survey_.layers.begin(), survey_.layers.end(),
                       [&](const SurveyedLayer& layer) {
                         return layer.id.str() == id && layer.record.link.empty();
                       });
  }

  void want_link(const std::string& link, const LayerId& id) {
    const std::string path = layout::link_path(link);
    const std::string target = layout::link_target(id);
    note(Gravity::Damage, id.str(), "the link is missing or leads elsewhere",
         {.kind = Repair::Kind::MakeLink,
          .path = path,
          .content = target,
          .done = "restored the link " + path + " to " + quoted(target)});
  }

  // What is wrong with the file that the repair is about.
  void note(Gravity gravity, std::string layer, std::string what, Repair repair) {
    std::string file = repair.path;
    survey_.findings.push_back({.gravity = gravity,
                                .layer = std::move(layer),
                                .file = std::move(file),
                                .what = std::move(what),
                                .repair = std::move(repair)});
  }

  std::vector<Found> found_;                                             // by id
  std::unordered_map<std::string, std::optional<std::string>> targets_;  // of the names in l/
  std::unordered_map<std::string, Found*> by_link_;
  std::multimap<std::string, std::string> links_by_target_;
  std::optional<std::map<std::string, std::set<std::string>>> mentions_;
  Survey survey_;
};

void mend(int home, const Repair& repair) {
  switch (repair.kind) {
    case Repair::Kind::WriteFile:
      sys::write_file_atomically(home, repair.path, repair.content, kFileMode);
      return;
    case Repair::Kind::MakeLink:
      sys::unlinkat(home, repair.path, 0);
      sys::symlinkat(repair.content, home, repair.path);
      return;
    case Repair::Kind::Unlink: sys::unlinkat(home, repair.path, 0); return;
  }
}

}  // namespace

bool tells_of_damage(int errnum) {
  switch (errnum) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOSPC:
    case EDQUOT: return false;
    default: return true;
  }
}

Survey survey_store(int home) { return Surveyor(read_listing(home)).run(); }

Survey survey_store_by_record(int home) { return Surveyor(read_listing_by_record(home)).run(); }

std::vector<size_t> mend_store(int home, const Survey& survey, Observer& observer) {
  std::vector<size_t> mended;
  for (size_t i = 0; i < survey.findings.size(); ++i) {
    const std::optional<Repair>& repair = survey.findings[i].repair;
    if (!repair) continue;
    try {
      mend(home, *repair);
      observer.note(NoteLevel::Info, repair->done);
      mended.push_back(i);
    } catch (const Error& error) {
      observer.note(NoteLevel::Warning,
                    "cannot repair " + quoted(repair->path) + ": " + error.what());
    }
  }
  return mended;
}

}  // namespace overlayd
