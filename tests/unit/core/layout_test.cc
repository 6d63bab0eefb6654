// SPDX-License-Identifier: Apache-2.0
#include "core/layout.h"

#include <limits>
#include <set>

#include <doctest/doctest.h>

#include "core/error.h"

namespace overlayd {
namespace {

const std::string kA(layout::kLinkLength, 'A');
const std::string kB(layout::kLinkLength, '7');

TEST_SUITE("layout") {
  TEST_CASE("random links are Docker's: 26 characters of base32, never the same") {
    std::set<std::string> seen;
    std::set<char> characters;
    for (int i = 0; i < 500; ++i) {
      const std::string link = layout::random_link();
      REQUIRE(layout::is_link(link));
      REQUIRE(seen.insert(link).second);
      characters.insert(link.begin(), link.end());
    }
    CHECK(characters.size() == 32);
    CHECK(layout::random_name() != layout::random_name());
  }

  TEST_CASE("a link is exactly 26 characters of A to Z and 2 to 7") {
    CHECK(layout::is_link("ABCDEFGHIJKLMNOPQRSTUVWXYZ"));
    CHECK(layout::is_link("234567ABCDEFGHIJKLMNOPQRST"));
    CHECK(!layout::is_link(""));
    CHECK(!layout::is_link(std::string(25, 'A')));
    CHECK(!layout::is_link(std::string(27, 'A')));
    for (const char bad : {'a', '0', '1', '8', '9', '=', '/', ':', '.', '\n', '\0', '\xff'}) {
      CAPTURE(static_cast<int>(bad));
      std::string link = kA;
      link[13] = bad;
      CHECK(!layout::is_link(link));
      link = kA;
      link.back() = bad;
      CHECK(!layout::is_link(link));
    }
  }

  TEST_CASE("a link's path and target are relative to the home and to l/") {
    const LayerId id = LayerId::parse("layer");
    CHECK(layout::link_path(kA) == "l/" + kA);
    CHECK(layout::link_target(id) == "../layer/diff");
    CHECK(layout::in_layer(id, layout::kMerged) == "layer/merged");
  }

  TEST_CASE("the id of a link target is found only where there is one") {
    struct {
      const char* target;
      const char* id;
    } const cases[] = {
        {"../layer/diff", "layer"},
        {"../a/b/diff", "a/b"},
        {"../diff", ""},
        {"../layer/dif", ""},
        {"/layer/diff", ""},
        {"", ""},
        {"..//diff", ""},
        {"../layer/diff/", ""},
        {"layer/diff", ""},
        {"../../layer/diff", "../layer"},
        {"..layer/diff", ""},
    };
    for (const auto& [target, id] : cases) {
      CAPTURE(target);
      CHECK(layout::id_in_link_target(target) == id);
    }
    CHECK(layout::id_in_link_target(layout::link_target(LayerId::parse("x:y z"))) == "x:y z");
  }

  TEST_CASE("a lower file is written and read back nearest parent first") {
    CHECK(layout::format_lower({kA}) == "l/" + kA);
    CHECK(layout::format_lower({kA, kB}) == "l/" + kA + ":l/" + kB);
    const std::vector<std::string> links(500, kB);
    const std::string text = layout::format_lower(links);
    CHECK(text.size() <= layout::kMaxLowerFile);
    CHECK(layout::parse_lower(text) == links);
  }

  TEST_CASE("of a torn lower file the links at its front are known") {
    const std::string whole = layout::format_lower({kA, kB});
    const std::string first = layout::format_lower({kA});
    CHECK(layout::is_whole_lower(whole));
    CHECK(layout::front_of_lower(whole) == whole);
    CHECK(layout::first_of_lower(whole) == kA);
    for (size_t length = 0; length < whole.size(); ++length) {
      CAPTURE(length);
      const std::string zeros(whole.size() - length, '\0');
      for (const std::string& torn : {whole.substr(0, length), whole.substr(0, length) + zeros}) {
        CHECK(layout::front_of_lower(torn) == (length < first.size() ? "" : first));
        CHECK(layout::is_whole_lower(torn) == (torn == first));
      }
    }
    CHECK(layout::front_of_lower(first + ":" + kB) == first);
    CHECK(layout::front_of_lower(first + "\n").empty());
    CHECK(layout::first_of_lower("").empty());
  }

  TEST_CASE("who lies on a layer names it, and then what it names") {
    CHECK(layout::lower_on(kA, "") == layout::format_lower({kA}));
    CHECK(layout::lower_on(kB, layout::format_lower({kA, kB})) ==
          layout::format_lower({kB, kA, kB}));
  }

  TEST_CASE("a size is written and read back, or not read at all") {
    for (const int64_t size : {int64_t{0}, int64_t{4711}, std::numeric_limits<int64_t>::max()}) {
      const std::string text = layout::format_size(size);
      CHECK(text.size() <= layout::kMaxSizeFile);
      CHECK(layout::parse_size(text) == size);
      CHECK(!layout::parse_size(text.substr(0, text.size() - 1)));
    }
    for (const char* text : {"", "\n", "-1\n", "1 \n", " 1\n", "0x1\n", "9223372036854775808\n"}) {
      CAPTURE(text);
      CHECK(!layout::parse_size(text));
    }
  }

  TEST_CASE("a damaged lower file is told by what is wrong with it") {
    const std::string good = "l/" + kA;
    const std::string bad[] = {"",
                               ":",
                               good + "\n",
                               ":" + good,
                               good + "::" + good,
                               kA,
                               "m/" + kA,
                               "l/" + kA.substr(1),
                               good + ":l/",
                               good + " " + good,
                               "/" + good,
                               std::string(good.size(), '\0')};
    for (const std::string& text : bad) {
      CAPTURE(quoted(text));
      try {
        layout::parse_lower(text);
        FAIL_CHECK("was accepted");
      } catch (const Error& error) {
        CHECK(error.kind() == ErrorKind::Corrupt);
        CHECK(std::string(error.what()).find("'lower' file") != std::string::npos);
      }
    }
  }

  TEST_CASE("a lower file cut behind a colon is damage") {
    // A write cut short by a full disk may end anywhere.
    const std::string text = layout::format_lower({kA, kB});
    for (size_t length = 0; length < text.size(); ++length) {
      CAPTURE(length);
      if (length == text.find(':')) continue;  // looks whole: the parent's own file tells
      CHECK_THROWS_AS(layout::parse_lower(text.substr(0, length)), Error);
    }
  }
}

}  // namespace
}  // namespace overlayd
