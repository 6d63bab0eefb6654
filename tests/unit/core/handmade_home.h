// SPDX-License-Identifier: Apache-2.0
//
// Stores as crashes, full disks and people leave them, made by hand. No root: loading only reads
// the small files and mends l/.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "core/layer_table.h"
#include "core/layout.h"
#include "core/sys.h"
#include "tests/support/temp_dir.h"

namespace overlayd::test {

class Notes final : public Observer {
 public:
  void note(NoteLevel level, const std::string& message) noexcept override {
    text += (level == NoteLevel::Warning ? "warning: " : "info: ") + message + "\n";
  }
  std::string text;
};

/// "AAA…" for 'A': a valid link that can be read in a failed test.
inline std::string link(char letter) { return std::string(layout::kLinkLength, letter); }

/// A home that is loaded as a start does it.
struct Home {
  Home() { sys::mkdirat(dir.fd(), "l", 0700); }

  void directory(const std::string& name) { sys::mkdirat(dir.fd(), name, 0700); }
  void link_to(char letter, const std::string& target) {
    sys::symlinkat(target, dir.fd(), layout::link_path(link(letter)));
  }
  /// A layer with link 'letter' that lies on those of `lowers`, nearest first.
  void layer(const std::string& id, char letter, const std::string& lowers = "") {
    directory(id);
    directory(id + "/diff");
    dir.write(id + "/link", link(letter));
    link_to(letter, "../" + id + "/diff");
    letters[letter] = id;
    if (lowers.empty()) return;
    const auto parent = letters.find(lowers.front());
    if (parent != letters.end() && sys::try_fstatat(dir.fd(), parent->second)) {
      dir.write(parent->second + "/committed", "");
    }
    std::vector<std::string> links;
    for (const char lower : lowers) links.push_back(link(lower));
    dir.write(id + "/lower", layout::format_lower(links));
    directory(id + "/work");
  }
  void load() {
    notes.text.clear();
    table.load(dir.fd(), notes);
    count.clear();
    if (!notes.text.starts_with("info: found ")) return;
    const size_t end = notes.text.find('\n') + 1;
    count = notes.text.substr(0, end);
    notes.text.erase(0, end);
  }
  std::string damage(const std::string& id) const {
    const auto layer = table.find(id);
    return layer ? layer->damage : "absent";
  }
  /// The ids that are served, in order.
  std::string healthy() const {
    std::vector<std::string> ids;
    for (const auto& layer : table.all()) {
      if (layer->damage.empty()) ids.push_back(layer->id.str());
    }
    std::sort(ids.begin(), ids.end());
    std::string text;
    for (const std::string& id : ids) text += (text.empty() ? "" : " ") + id;
    return text;
  }
  /// "" when it is no symlink.
  std::string target(char letter) const {
    const auto text = sys::try_readlinkat(dir.fd(), layout::link_path(link(letter)));
    return text.value_or("");
  }
  bool said(const std::string& fragment) const {
    return notes.text.find(fragment) != std::string::npos;
  }

  TempDir dir;
  Notes notes;
  std::string count;  ///< what was said of how many layers there are
  LayerTable table;
  std::map<char, std::string> letters;  ///< whose link is which
};

/// Three layers on each other, and another on the lowest.
struct Chain : Home {
  Chain() {
    layer("base", 'A');
    layer("middle", 'B', "A");
    layer("top", 'C', "BA");
    layer("other", 'D', "A");
  }
};

}  // namespace overlayd::test
