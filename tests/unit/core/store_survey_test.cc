// SPDX-License-Identifier: Apache-2.0
#include "core/store_survey.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "core/layout.h"
#include "core/sys.h"
#include "tests/unit/core/handmade_home.h"

namespace overlayd::test {
namespace {

TEST_SUITE("store_survey") {
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
}

}  // namespace
}  // namespace overlayd::test
