// SPDX-License-Identifier: Apache-2.0
//
// Stores as crashes, full disks and people leave them, made by hand. No root: loading only reads
// the small files and mends l/.
#include "core/layer_table.h"

#include <algorithm>
#include <array>
#include <map>

#include <doctest/doctest.h>

#include "core/error.h"
#include "core/layer_files.h"
#include "core/layout.h"
#include "core/sys.h"
#include "tests/support/temp_dir.h"

namespace overlayd {
namespace {

class Notes final : public Observer {
 public:
  void note(NoteLevel level, const std::string& message) noexcept override {
    text += (level == NoteLevel::Warning ? "warning: " : "info: ") + message + "\n";
  }
  std::string text;
};

/// "AAA…" for 'A': a valid link that can be read in a failed test.
std::string link(char letter) { return std::string(layout::kLinkLength, letter); }

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

  test::TempDir dir;
  Notes notes;
  LayerTable table;
  std::map<char, std::string> letters;  ///< whose link is which
};

struct Chain : Home {
  Chain() {
    layer("base", 'A');
    layer("middle", 'B', "A");
    layer("top", 'C', "BA");
    layer("other", 'D', "A");
  }
};

TEST_SUITE("layer_table") {
  TEST_CASE_FIXTURE(Home, "an empty home has no layers and nothing to say") {
    load();
    CHECK(table.size() == 0);
    CHECK(notes.text.empty());
  }

  TEST_CASE_FIXTURE(Chain, "a healthy store is loaded as the tree it is") {
    load();
    CHECK(notes.text.empty());
    CHECK(healthy() == "base middle other top");
    const auto top = table.find("top");
    REQUIRE(top);
    CHECK(top->depth == 2);
    CHECK(top->parent == table.find("middle"));
    CHECK(top->links() == std::vector<std::string>{link('C'), link('B'), link('A')});
    CHECK(top->chain().size() == 3);
    CHECK(top->children == 0);
    CHECK(table.find("middle")->children == 1);
    CHECK(table.find("base")->children == 2);
    CHECK(table.find("base")->parent == nullptr);
    CHECK(table.find("base")->committed);
    CHECK(table.find("middle")->committed);
    CHECK(!top->committed);
    CHECK(!top->unfinished);
    CHECK(!top->mounted);
    CHECK(top->holders == 0);
  }

  TEST_CASE_FIXTURE(Chain, "a child is found whatever order the names sort in") {
    layer("a-child-that-sorts-first", 'E', "CBA");
    load();
    CHECK(table.find("a-child-that-sorts-first")->depth == 3);
    CHECK(notes.text.empty());
  }

  TEST_CASE_FIXTURE(Chain, "an unfinished layer is not a damaged one") {
    directory("top/partial");
    load();
    CHECK(table.find("top")->unfinished);
    CHECK(damage("top").empty());
  }

  TEST_CASE_FIXTURE(Chain, "a recorded size counts only whole and for a committed layer") {
    dir.write("base/size", "4711\n");
    dir.write("middle/size", "47");
    dir.write("top/size", "4711\n");
    load();
    CHECK(notes.text == "info: removed the outdated size of layer 'top'\n");
    CHECK(table.find("base")->size == 4711);
    CHECK(!table.find("middle")->size);
    CHECK(!table.find("top")->size);
    CHECK(!sys::try_fstatat(dir.fd(), "top/size"));
  }

  TEST_CASE_FIXTURE(Chain, "a record of digests is known, unless the layer was never finished") {
    dir.write("base/digests", "");
    dir.write("top/digests", "");
    directory("top/partial");
    load();
    CHECK(table.find("base")->has_digests);
    CHECK(!table.find("middle")->has_digests);
    CHECK(!table.find("top")->has_digests);
  }

  TEST_CASE_FIXTURE(Chain, "a file that was never renamed into place goes") {
    dir.write("base/size.new", "47");
    dir.write("base/lower.new", "");
    directory("base/diff.new");
    dir.write("base/other.new", "not ours");
    load();
    CHECK(notes.text ==
          "info: removed the unfinished file 'base/lower.new'\n"
          "info: removed the unfinished file 'base/size.new'\n");
    CHECK(sys::try_fstatat(dir.fd(), "base/other.new"));
    CHECK(sys::try_fstatat(dir.fd(), "base/diff.new"));
  }

  TEST_CASE_FIXTURE(Chain, "a layer that is no parent after all has no recorded size") {
    const LayerId id = LayerId::parse("top");
    CHECK(mark_committed(dir.fd(), id));
    record_size(dir.fd(), id, 4711);
    CHECK(dir.read("top/size") == "4711\n");
    unmark_committed(dir.fd(), id);
    CHECK(!sys::try_fstatat(dir.fd(), "top/size"));
    CHECK(!sys::try_fstatat(dir.fd(), "top/committed"));
  }

  TEST_CASE_FIXTURE(Home, "a store of many layers is loaded as well") {
    constexpr size_t kMany = 1000;
    layer("base", 'A');
    dir.write("base/committed", "");
    for (size_t i = 0; i < kMany; ++i) {
      const std::string id = "layer" + std::to_string(i);
      directory(id);
      directory(id + "/diff");
      dir.write(id + "/link", layout::random_link());
      dir.write(id + "/lower", layout::format_lower({link('A')}));
    }
    load();  // makes the links
    load();
    CHECK(notes.text.empty());
    CHECK(table.size() == kMany + 1);
    CHECK(table.find("base")->children == kMany);
  }

  TEST_CASE_FIXTURE(Chain, "a damaged layer takes those above it along and no other") {
    struct {
      const char* file;
      std::string content;
      const char* says;
    } const cases[] = {
        {"middle/lower", "l/" + link('Z'), "is not there"},
        {"middle/lower", "l/" + link('A') + ":l/" + link('D'), "contradicts its parent's"},
        {"middle/lower", "l/" + link('B'), "circle"},
        {"middle/lower", "l/" + link('C'), "circle"},
    };
    for (const auto& [file, content, says] : cases) {
      CAPTURE(says);
      const std::string before = dir.read(file);
      dir.write(file, content);
      load();
      CHECK(table.size() == 4);
      CHECK(healthy() == "base other");
      CHECK((damage("middle") + damage("top")).find(says) != std::string::npos);
      CHECK(said("warning: layer 'middle' is damaged: "));
      CHECK(said("warning: layer 'top' is damaged: "));
      CHECK(target('B') == "../middle/diff");
      dir.write(file, before);
      load();
      CHECK(healthy() == "base middle other top");
    }
  }

  TEST_CASE_FIXTURE(Chain, "a lost link file is restored from l/") {
    const std::string damaged[] = {"",
                                   link('B').substr(1),
                                   link('b'),
                                   link('C'),
                                   std::string(26, '\0'),
                                   link('B') + "\n",
                                   std::string(5000, 'B')};
    for (const std::string& content : damaged) {
      CAPTURE(content);
      dir.write("middle/link", content);
      load();
      CHECK(healthy() == "base middle other top");
      CHECK(dir.read("middle/link") == link('B'));
      CHECK(target('B') == "../middle/diff");
      CHECK(target('C') == "../top/diff");
    }
    sys::unlinkat(dir.fd(), "middle/link", 0);
    load();
    CHECK(notes.text == "info: restored the 'link' file of layer 'middle'\n");
    CHECK(dir.read("middle/link") == link('B'));
    load();
    CHECK(notes.text.empty());
  }

  TEST_CASE_FIXTURE(Chain, "of several links to a layer the one that others mean is its own") {
    sys::unlinkat(dir.fd(), "middle/link", 0);
    link_to('X', "../middle/diff");
    link_to('2', "../middle/diff");
    load();
    CHECK(dir.read("middle/link") == link('B'));
    CHECK(healthy() == "base middle other top");
    CHECK(target('X').empty());
    CHECK(target('2').empty());
  }

  TEST_CASE_FIXTURE(Chain, "a link file without any trace in l/ is not made up") {
    sys::unlinkat(dir.fd(), "middle/link", 0);
    sys::unlinkat(dir.fd(), layout::link_path(link('B')), 0);
    load();
    CHECK(damage("middle") == "its 'link' file is missing or damaged");
    CHECK(healthy() == "base other");
    CHECK(!sys::try_fstatat(dir.fd(), "middle/link"));
  }

  TEST_CASE_FIXTURE(Chain, "traces that contradict each other are all kept") {
    sys::unlinkat(dir.fd(), "middle/link", 0);
    layer("second", 'E', "FA");  // means another link of middle's
    link_to('F', "../middle/diff");
    load();
    CHECK(healthy() == "base other");
    CHECK(target('B') == "../middle/diff");
    CHECK(target('F') == "../middle/diff");
  }

  TEST_CASE_FIXTURE(Chain, "a lost lower file is restored from those of the layers above") {
    const std::string whole = dir.read("middle/lower");
    for (const std::string& content : {std::string(), std::string(29, '\0'), whole.substr(0, 9),
                                       std::string(layout::kMaxLowerFile + 1, 'l')}) {
      CAPTURE(content.size());
      dir.write("middle/lower", content);
      load();
      CHECK(notes.text ==
            "info: restored the 'lower' file of layer 'middle', which lies on 'base'\n");
      CHECK(dir.read("middle/lower") == whole);
      CHECK(healthy() == "base middle other top");
      CHECK(table.find("middle")->parent == table.find("base"));
    }
    sys::unlinkat(dir.fd(), "middle/lower", 0);
    load();
    CHECK(dir.read("middle/lower") == whole);
    load();
    CHECK(notes.text.empty());
  }

  TEST_CASE_FIXTURE(Chain,
                    "a torn lower file is restored from the parent's when it names the parent") {
    const std::string whole = dir.read("top/lower");
    for (const size_t length : {size_t{28}, size_t{29}, size_t{40}, whole.size() - 1}) {
      for (const char filler : {'\0', '-'}) {
        CAPTURE(length);
        std::string torn = whole.substr(0, length);
        if (filler == '\0') torn.resize(whole.size());
        dir.write("top/lower", torn);
        load();
        CHECK(dir.read("top/lower") == whole);
        CHECK(healthy() == "base middle other top");
        CHECK(table.find("top")->links() ==
              std::vector<std::string>{link('C'), link('B'), link('A')});
      }
    }
  }

  TEST_CASE_FIXTURE(Chain, "a lower file of which nothing is known is not made up") {
    for (const std::string& content :
         {std::string(), std::string(29, '\0'), std::string("l/BBB")}) {
      dir.write("top/lower", content);
      load();
      CHECK(healthy() == "base middle other");
      CHECK(dir.read("top/lower") == content);
      CHECK(said("warning: layer 'top' is damaged: the 'lower' file "));
    }
    sys::unlinkat(dir.fd(), "top/lower", 0);
    load();
    CHECK(damage("top") == "its 'lower' file is missing");
  }

  TEST_CASE_FIXTURE(Chain, "a container's layer lies on its init layer") {
    layer("container-init", 'I', "CBA");
    layer("container", 'J', "ICBA");
    const std::string whole = dir.read("container/lower");
    dir.write("container/lower", "");
    load();
    CHECK(healthy() == "base container container-init middle other top");
    CHECK(dir.read("container/lower") == whole);
  }

  TEST_CASE_FIXTURE(Chain, "several lost files in one chain are restored together") {
    layer("next", 'E', "CBA");
    layer("last", 'F', "ECBA");
    std::map<std::string, std::string> before;
    for (const char* file : {"middle/link", "middle/lower", "top/lower", "next/link"}) {
      before[file] = dir.read(file);
      dir.write(file, "");
    }
    load();
    CHECK(healthy() == "base last middle next other top");
    for (const auto& [file, content] : before) CHECK(dir.read(file) == content);
    load();
    CHECK(notes.text.empty());
  }

  TEST_CASE_FIXTURE(Chain, "layers above that disagree prove nothing") {
    layer("second", 'E', "BD");  // has it that middle lies on other
    dir.write("middle/lower", "");
    load();
    CHECK(healthy() == "base other");
    CHECK(dir.read("middle/lower").empty());
  }

  TEST_CASE_FIXTURE(Chain, "a layer under others is read-only, whether it was marked or not") {
    sys::unlinkat(dir.fd(), "middle/committed", 0);
    load();
    CHECK(table.find("middle")->committed);
    CHECK(!table.find("top")->committed);
    CHECK(sys::try_fstatat(dir.fd(), "middle/committed"));
    CHECK(said("info: marked layer 'middle' as read-only"));
    load();
    CHECK(notes.text.empty());
  }

  TEST_CASE_FIXTURE(Chain, "a layer without content is damaged") {
    sys::remove_tree(dir.fd(), "middle/diff");
    load();
    CHECK(damage("middle") == "it has no 'diff' directory");
    CHECK(healthy() == "base other");
  }

  TEST_CASE_FIXTURE(Chain, "a base that is gone takes everything above it along") {
    sys::remove_tree(dir.fd(), "base");
    load();
    CHECK(table.size() == 3);
    CHECK(healthy().empty());
    CHECK(damage("middle") == "its parent, link " + link('A') + ", is not there");
    CHECK(damage("top") == "it lies on the damaged layer 'middle'");
  }

  TEST_CASE_FIXTURE(Home, "a circle of any length is found and served by nobody") {
    layer("healthy", 'H');
    for (const int length : {1, 2, 3, 10}) {
      CAPTURE(length);
      const auto letter = [&](int n) { return static_cast<char>('I' + n % length); };
      for (int i = 0; i < length; ++i) {
        layer("ring" + std::to_string(i), letter(i), std::string(1, letter(i + 1)));
      }
      load();
      CHECK(table.size() == static_cast<size_t>(length) + 1);
      CHECK(healthy() == "healthy");
      for (int i = 0; i < length; ++i) {
        CHECK(!damage("ring" + std::to_string(i)).empty());
        sys::remove_tree(dir.fd(), "ring" + std::to_string(i));
      }
      load();
    }
  }

  TEST_CASE_FIXTURE(Chain, "what is not a layer is neither one nor touched") {
    directory("lost+found");
    directory("quota");
    directory(".overlayd");
    directory(".hidden");
    directory(".hidden/diff");
    directory("l/diff");
    dir.write("backingFsBlockDev", "x");
    dir.write("diff", "x");
    sys::symlinkat("base", dir.fd(), "alias");
    load();
    CHECK(table.size() == 4);
    CHECK(healthy() == "base middle other top");
    CHECK(sys::try_fstatat(dir.fd(), "lost+found"));
    CHECK(dir.read("backingFsBlockDev") == "x");
    CHECK(sys::try_fstatat(dir.fd(), "l/diff"));
    CHECK(said("warning: 'diff' in l/ is no link"));
  }

  TEST_CASE_FIXTURE(Chain, "links are made, redirected and removed as the layers say") {
    const UniqueFd links = sys::open_path_dir(dir.fd(), "l");
    sys::unlinkat(links.get(), link('B'), 0);  // missing
    sys::unlinkat(links.get(), link('C'), 0);  // wrong
    link_to('C', "../base/diff");
    sys::unlinkat(links.get(), link('D'), 0);  // not even a symlink
    dir.write("l/" + link('D'), "text");
    link_to('X', "../gone/diff");  // of a removed layer
    link_to('Y', "../base/diff");  // a second one
    link_to('Z', "/etc");          // nonsense
    dir.write("l/notes.txt", "mine");
    load();
    CHECK(healthy() == "base middle other top");
    CHECK(target('A') == "../base/diff");
    CHECK(target('B') == "../middle/diff");
    CHECK(target('C') == "../top/diff");
    CHECK(target('D') == "../other/diff");
    for (const char stray : {'X', 'Y', 'Z'}) CHECK(target(stray).empty());
    CHECK(said("info: removed the stray link l/" + link('X')));
    CHECK(said("info: restored the link l/" + link('B') + " to '../middle/diff'"));
    CHECK(dir.read("l/notes.txt") == "mine");
    load();  // nothing left to mend
    CHECK(!said("removed"));
    CHECK(!said("restored"));
  }

  TEST_CASE_FIXTURE(Chain, "a copy of a layer's directory does not take the place of the layer") {
    for (const char* copy : {"a-copy", "z-copy"}) {
      CAPTURE(copy);
      const std::string name = copy;
      directory(name);
      directory(name + "/diff");
      dir.write(name + "/link", link('B'));
      dir.write(name + "/lower", dir.read("middle/lower"));
      load();
      CHECK(healthy() == "base middle other top");
      CHECK(damage(name) == "its 'link' file says the same as that of layer 'middle'");
      CHECK(table.find("top")->parent == table.find("middle"));
      CHECK(target('B') == "../middle/diff");
      sys::remove_tree(dir.fd(), name);
    }
  }

  TEST_CASE_FIXTURE(Chain, "a table forgets only the very layer it is told to") {
    load();
    const auto old = table.find("top");
    table.erase(old);
    CHECK(!table.find("top"));
    CHECK(table.size() == 3);
    const auto fresh = std::make_shared<Layer>(LayerId::parse("top"), link('E'), nullptr);
    table.insert(fresh);
    table.erase(old);
    CHECK(table.find("top") == fresh);
  }

  TEST_CASE_FIXTURE(Chain, "a second load forgets the first") {
    load();
    sys::remove_tree(dir.fd(), "top");
    load();
    CHECK(!table.find("top"));
    CHECK(table.find("middle")->children == 0);
    CHECK(target('C').empty());
  }
}

}  // namespace
}  // namespace overlayd
