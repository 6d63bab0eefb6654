// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <ostream>
#include <set>

#include "core/error.h"
#include "core/layout.h"
#include "plugin/inspection.h"
#include "plugin/table.h"
#include "plugin/version.h"

namespace overlayd {
namespace {

using Gravity = Finding::Gravity;

using layout::kInitSuffix;

std::string_view stem_of(std::string_view id) {
  return id.ends_with(kInitSuffix) ? id.substr(0, id.size() - kInitSuffix.size()) : id;
}

/// Ids as they are shown: in full, or as much of their beginning as tells them apart.
class Ids {
 public:
  Ids(const StoreView& store, bool full) : store_(store), full_(full) {
    std::set<std::string_view> stems;
    for (const LayerView& layer : store.layers) stems.insert(stem_of(layer.id.str()));
    std::string_view before;
    for (const std::string_view stem : stems) {
      const auto differs = std::ranges::mismatch(before, stem).in1 - before.begin();
      length_ = std::max(length_, static_cast<size_t>(differs) + 1);
      before = stem;
    }
  }

  std::string of(size_t layer) const {
    const std::string& id = store_.layers[layer].id.str();
    const std::string_view stem = stem_of(id);
    if (full_ || stem.size() <= length_) return printable(id);
    return printable(stem.substr(0, length_)) +
           std::string(id.size() > stem.size() ? kInitSuffix : "");
  }

 private:
  const StoreView& store_;
  const bool full_;
  size_t length_ = 12;  // what Docker shows
};

Style style_of(LayerState state) {
  switch (state) {
    case LayerState::Damaged: return Style::Bad;
    case LayerState::Removed:
    case LayerState::Unfinished: return Style::Warning;
    case LayerState::Mounted: return Style::Good;
    case LayerState::Ready: return Style::Plain;
  }
  return Style::Plain;
}

std::string joined(const std::vector<std::string>& words, const char* between) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : between) + word;
  return text;
}

std::string size_of(const LayerView& layer) {
  return layer.size ? size_text(static_cast<uint64_t>(*layer.size)) : "-";
}

std::string counted(size_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

std::string disk(const DiskUsage& usage) {
  std::string text = size_text(usage.bytes) + " in " + counted(usage.inodes, "inode");
  if (usage.unread > 0) text += " (and " + counted(usage.unread, "file") + " that cannot be read)";
  return text;
}

// What is worth a word in the tree, nothing of most layers.
std::vector<std::string> remarks_on(const Inspection& found, const LayerView& layer,
                                    const Terminal& terminal) {
  std::vector<std::string> remarks;
  if (layer.kind != LayerKind::Layer && layer.kind != LayerKind::Image) {
    remarks.emplace_back(to_string(layer.kind));
  }
  const LayerState state = layer.state();
  if (state != LayerState::Ready) {
    remarks.push_back(styled(to_string(state), style_of(state), terminal));
  }
  if (layer.mounts.size() > 1) remarks.push_back(std::to_string(layer.mounts.size()) + " times");
  if (layer.holders.value_or(0) > 0) remarks.push_back("held by " + std::to_string(*layer.holders));
  if (const auto names = names_for(found, layer); !names.empty()) {
    remarks.push_back(styled(joined(names, ","), Style::Bold, terminal));
  }
  return remarks;
}

/// Draws the tree in the order of Inspection::chosen. An only child stands under its parent, not
/// beside it: most chains have no branches.
class Tree {
 public:
  Tree(const Inspection& found, std::ostream& out, const TextOptions& options)
      : found_(found), out_(out), options_(options), ids_(found.store, options.full) {}

  void print() {
    const Terminal& terminal = options_.terminal;
    out_ << styled(printable(found_.store.home.native()), Style::Bold, terminal) << '\n';
    const auto is_root = [](const LayerView& layer) { return !layer.parent; };
    auto roots = std::ranges::count_if(found_.store.layers, is_root);
    std::vector<std::string> indents(found_.store.layers.size());  // of what lies on each
    for (const size_t i : found_.chosen) {
      const LayerView& layer = found_.store.layers[i];
      const std::string above = layer.parent ? indents[*layer.parent] : std::string();
      const size_t siblings = layer.parent ? found_.store.layers[*layer.parent].children.size() : 0;
      if (layer.parent && siblings == 1) {
        indents[i] = above;
        print_line(above, i);
      } else {
        const bool is_last =
            layer.parent ? found_.store.layers[*layer.parent].children.back() == i : --roots == 0;
        indents[i] = above + (is_last ? "   " : terminal.utf8 ? "│  " : "|  ");
        print_line(above + branch(is_last), i);
      }
    }
  }

 private:
  std::string branch(bool is_last) const {
    if (!options_.terminal.utf8) return is_last ? "`- " : "|- ";
    return is_last ? "└─ " : "├─ ";
  }

  // What has to be cut loses its colours.
  void print_line(const std::string& start, size_t i) {
    const LayerView& layer = found_.store.layers[i];
    std::string plain = start + ids_.of(i) + "  " + size_of(layer);
    std::string line = plain;
    const std::vector<std::string> remarks = remarks_on(found_, layer, options_.terminal);
    const std::vector<std::string> unstyled = remarks_on(found_, layer, {});
    if (!remarks.empty()) {
      line += "  " + joined(remarks, ", ");
      plain += "  " + joined(unstyled, ", ");
    }
    const auto& width = options_.terminal.width;
    const bool fits = !width || columns_of(plain) <= *width;
    out_ << (fits ? line : cut(plain, *width, options_.terminal)) << '\n';
  }

  const Inspection& found_;
  std::ostream& out_;
  const TextOptions& options_;
  const Ids ids_;
};

/// Lines of a name and what is behind it.
class Facts {
 public:
  Facts(std::ostream& out, const Terminal& terminal) : out_(out), terminal_(terminal) {}

  /// Without a name, one more of the same.
  void add(const std::string& name, const std::string& text, Style style = Style::Plain) {
    constexpr size_t kWidth = 12;
    out_ << styled(name, Style::Bold, terminal_)
         << std::string(kWidth - std::min(kWidth, name.size()), ' ')
         << styled(text.empty() ? "-" : text, style, terminal_) << '\n';
  }
  void add_list(const std::string& name, const std::vector<std::string>& lines) {
    for (const std::string& line : lines) add(&line == &lines.front() ? name : "", line);
  }

 private:
  std::ostream& out_;
  const Terminal& terminal_;
};

std::string describe(const MountUse& use) {
  std::string text = printable(use.mount.mount_point) + " (mount " + std::to_string(use.mount.id) +
                     ", " + printable(use.mount.mount_options) + ") in ";
  if (use.is_own) return text + "this mount namespace, " + std::to_string(use.name_space);
  return text + "mount namespace " + std::to_string(use.name_space) + " of " +
         counted(use.processes.size(), "process") + ": " + std::to_string(use.processes.front()) +
         " " + printable(use.command);
}

std::string describe(const DiskUsage& own, const DiskUsage& below) {
  return disk(own) + " of its own, " + disk(below) + " below";
}

std::string describe(const LayerQuota& quota) {
  const auto& [limits, bytes, inodes] = quota.usage;
  const auto most = [](uint64_t limit, const std::string& text) {
    return limit == 0 ? std::string() : " of " + text;
  };
  return "project " + std::to_string(quota.project) + ": " + size_text(bytes) +
         most(limits.bytes, size_text(limits.bytes)) + ", " + std::to_string(inodes) +
         most(limits.inodes, std::to_string(limits.inodes)) + " inodes";
}

std::string space_of(const StoreMeans& means) {
  std::string text = means.filesystem + ", " + size_text(means.free_bytes) + " of " +
                     size_text(means.bytes) + " free";
  if (means.inodes > 0) {
    text += ", " + std::to_string(means.free_inodes) + " of " + std::to_string(means.inodes) +
            " inodes free";
  }
  return text;
}

}  // namespace

void print_list(const Inspection& found, std::ostream& out, const TextOptions& options) {
  const Ids ids(found.store, options.full);
  Table table({{.title = "LAYER"},
               {.title = "PARENT", .may_be_cut = true},
               {.title = "KIND"},
               {.title = "STATE"},
               {.title = "DEPTH", .align = Table::Align::Right},
               {.title = "SIZE", .align = Table::Align::Right},
               {.title = "AGE", .align = Table::Align::Right},
               {.title = "USED BY", .may_be_cut = true}});
  for (const size_t i : found.chosen) {
    const LayerView& layer = found.store.layers[i];
    table.add({{ids.of(i)},
               {layer.parent ? ids.of(*layer.parent) : ""},
               {std::string(to_string(layer.kind))},
               {std::string(to_string(layer.state())), style_of(layer.state())},
               {std::to_string(layer.depth)},
               {size_of(layer)},
               {layer.made ? age_text(*layer.made, options.now) : ""},
               {joined(names_for(found, layer), ",")}});
  }
  table.print(out, options.terminal);
}

void print_tree(const Inspection& found, std::ostream& out, const TextOptions& options) {
  Tree(found, out, options).print();
}

void print_usage(const Inspection& found, std::ostream& out, const TextOptions& options) {
  const Ids ids(found.store, options.full);
  constexpr auto kRight = Table::Align::Right;
  Table table({{.title = "LAYER"},
               {.title = "OWN", .align = kRight},
               {.title = "INODES", .align = kRight},
               {.title = "SHARED", .align = kRight},
               {.title = "INODES", .align = kRight},
               {.title = "TOTAL", .align = kRight},
               {.title = "USED BY", .may_be_cut = true}});
  for (const size_t i : found.chosen) {
    const DiskUsage& own = found.usage.own[i];
    const DiskUsage& below = found.usage.below[i];
    table.add({{ids.of(i)},
               {size_text(own.bytes)},
               {std::to_string(own.inodes)},
               {size_text(below.bytes)},
               {std::to_string(below.inodes)},
               {size_text(own.bytes + below.bytes)},
               {joined(names_for(found, found.store.layers[i]), ",")}});
  }
  table.print(out, options.terminal);
  out << counted(found.store.layers.size(), "layer") << ", " << disk(found.usage.total)
      << " in all\n";
}

void print_layer(const Inspection& found, std::ostream& out, const TextOptions& options) {
  const StoreView& store = found.store;
  const LayerView& layer = store.layers[found.layer];
  const Ids ids(store, options.full);
  const auto path = [&](const char* name) {
    return printable((store.home / layer.id.str() / name).native());
  };
  Facts facts(out, options.terminal);
  facts.add("layer", printable(layer.id.str()));
  facts.add("kind", std::string(to_string(layer.kind)));
  facts.add("state", std::string(to_string(layer.state())), style_of(layer.state()));
  if (!layer.damage.empty()) facts.add("damage", layer.damage, Style::Bad);
  facts.add("made", layer.made ? time_text(*layer.made) : "");
  facts.add("read-only", layer.record.committed ? "yes: other layers lie on it, or did" : "no");
  facts.add("size", size_of(layer) + (layer.record.size ? ", as recorded" : ""));
  facts.add("disk", describe(found.own, found.below));
  facts.add("quota", found.quota ? describe(*found.quota) : "none");
  facts.add("digests", layer.record.has_digests ? "recorded" : "none");
  if (layer.user) {
    facts.add("engine's id", printable(layer.user->name));
    facts.add("used by", joined(names_for(found, layer), ", "));
  }
  facts.add("content", path(layout::kDiff));
  facts.add("work", layer.record.lower.empty() ? "" : path(layout::kWork));
  facts.add("mount point", path(layout::kMerged));
  facts.add("link", layer.record.link);
  std::vector<std::string> below, above, mounts;
  for (auto at = layer.parent; at; at = store.layers[*at].parent) below.push_back(ids.of(*at));
  for (const size_t child : layer.children) above.push_back(ids.of(child));
  for (const MountUse& use : found.uses) mounts.push_back(describe(use));
  facts.add_list("lies on", below);
  facts.add_list("below", above);
  if (layer.holders) facts.add("held", counted(*layer.holders, "time"));
  facts.add_list("mounted on", mounts);
  if (!layer.mounts.empty() && !layer.record.committed) {
    facts.add("", "(it must not be mounted a second time to be written to)");
  }
  facts.add("mount with", found.command.line.empty() ? "nothing: " + found.command.reason
                                                     : printable(found.command.line));
}

void print_status(const Inspection& found, std::ostream& out, const TextOptions& options) {
  const StoreView& store = found.store;
  const StoreMeans& means = found.means;
  std::map<LayerState, size_t> counts;
  for (const LayerView& layer : store.layers) ++counts[layer.state()];
  const auto count = [&](LayerState state) {
    return std::to_string(counts[state]) + " " + std::string(to_string(state));
  };
  Facts facts(out, options.terminal);
  facts.add("store", printable(store.home.native()));
  facts.add("overlayd", std::string(version()));
  facts.add("served", store.is_served ? "yes" : store.is_ours ? "no" : "not by overlayd");
  facts.add("disk", space_of(means));
  facts.add("mounts by", means.mount_method ? std::string(to_string(*means.mount_method))
                                            : "unknown: " + means.mount_reason);
  facts.add("commits by",
            std::string(to_string(means.commit.method)) + " (" + means.commit.reason + ")");
  facts.add("quotas", means.quota_obstacle.empty() ? "yes" : "no: " + means.quota_obstacle);
  facts.add("layers", std::to_string(store.layers.size()) + ": " + count(LayerState::Ready) + ", " +
                          count(LayerState::Mounted) + ", " + count(LayerState::Unfinished) + ", " +
                          count(LayerState::Removed) + ", " + count(LayerState::Damaged));
  facts.add("leftovers", std::to_string(store.staged) + " in staging, " +
                             std::to_string(store.trashed) + " in the trash, " +
                             counted(store.foreign_mounts, "foreign mount"));
  const size_t damages = found.report.count(Gravity::Damage);
  const size_t leftovers = found.report.count(Gravity::Leftover);
  facts.add("problems",
            damages + leftovers == 0
                ? "none"
                : counted(damages, "damage") + ", " + counted(leftovers, "leftover") +
                      "; overlayd check names them",
            damages > 0     ? Style::Bad
            : leftovers > 0 ? Style::Warning
                            : Style::Good);
}

}  // namespace overlayd
