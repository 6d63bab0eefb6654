// SPDX-License-Identifier: Apache-2.0
//
// docs/troubleshooting.md names messages as they are found in logs: what is constant in each must
// be in the program. The other way round, what core and plugin throw must be on the page, or in
// unexplained.txt among what needs no word or nobody meets.
#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

namespace overlayd {
namespace {

const std::string kRoot = OVERLAYD_SOURCE_DIR "/";

std::string content_of(const std::string& file) {
  std::ifstream in(file);
  REQUIRE(in);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

// The string literals of C++ code, those that follow each other joined.
class Literals {
 public:
  explicit Literals(std::string_view code) : code_(code) {}

  std::vector<std::string> all() {
    while (at_ < code_.size()) {
      if (code_.substr(at_).starts_with("//")) {
        at_ = std::min(code_.find('\n', at_), code_.size());
      } else if (code_[at_] == '"') {
        take_literal();
      } else if (code_[at_] == '\'' && !is_digit_separator()) {
        skip_quoted();
        joins_ = false;
      } else {
        if (std::isspace(static_cast<unsigned char>(code_[at_])) == 0) joins_ = false;
        ++at_;
      }
    }
    return std::move(found_);
  }

 private:
  bool is_digit_separator() const {
    return at_ > 0 && std::isalnum(static_cast<unsigned char>(code_[at_ - 1])) != 0;
  }

  // What stands between the quote here and the next that is not escaped.
  std::string skip_quoted() {
    const char quote = code_[at_++];
    std::string text;
    for (; at_ < code_.size() && code_[at_] != quote; ++at_) {
      if (code_[at_] == '\\') ++at_;
      if (at_ < code_.size()) text += code_[at_];
    }
    ++at_;
    return text;
  }

  void take_literal() {
    const std::string text = skip_quoted();
    if (joins_) {
      found_.back() += text;
    } else {
      found_.push_back(text);
    }
    joins_ = true;
  }

  std::string_view code_;
  size_t at_ = 0;
  bool joins_ = false;
  std::vector<std::string> found_;
};

std::vector<std::string> files_of_program() {
  std::vector<std::string> contents;
  for (const char* directory : {"core", "plugin"}) {
    for (const auto& file : std::filesystem::directory_iterator(kRoot + directory)) {
      const std::string extension = file.path().extension();
      if (extension == ".cc" || extension == ".h") contents.push_back(content_of(file.path()));
    }
  }
  return contents;
}

// Those of core/ and plugin/ that say something.
std::vector<std::string> literals_of_program() {
  std::vector<std::string> found;
  for (const std::string& code : files_of_program()) {
    for (std::string& literal : Literals(code).all()) {
      if (literal.size() >= 4) found.push_back(std::move(literal));
    }
  }
  return found;
}

// Of each statement that throws, the longest literal: what somebody would look for.
std::vector<std::string> thrown_messages() {
  constexpr size_t kShortest = 9;  // what is shorter says nothing by itself
  std::vector<std::string> found;
  for (const std::string& code : files_of_program()) {
    for (size_t at = code.find("throw"); at != std::string::npos; at = code.find("throw", at + 5)) {
      // Not an Error of the system, which says what was tried, and the kernel's reason.
      const std::string statement = code.substr(at, code.find(';', at) - at);
      if (!statement.starts_with("throw Error(") && !statement.starts_with("throw_unsupported("))
        continue;
      std::string longest;
      for (std::string& literal : Literals(statement).all()) {
        if (literal.size() > longest.size()) longest = std::move(literal);
      }
      if (longest.size() >= kShortest) found.push_back(longest);
    }
  }
  return found;
}

std::vector<std::string> lines_of(const std::string& file) {
  std::istringstream in(content_of(file));
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) {
    if (!line.empty() && line.front() != '#') lines.push_back(line);
  }
  return lines;
}

// Without blanks, colons and commas at its ends.
std::string_view core_of(std::string_view text) {
  constexpr std::string_view kEnds = " :,()";
  const size_t first = text.find_first_not_of(kEnds);
  return first == std::string_view::npos
             ? std::string_view()
             : text.substr(first, text.find_last_not_of(kEnds) - first + 1);
}

// Whether the page has the message, or as much of it as nothing else says.
bool is_on(const std::string& page, std::string_view message) {
  constexpr size_t kEnough = 25;
  const std::string_view text = core_of(message);
  if (text.size() <= kEnough) return page.find(text) != std::string::npos;
  for (size_t at = 0; at + kEnough <= text.size(); ++at) {
    if (page.find(text.substr(at, kEnough)) != std::string::npos) return true;
  }
  return false;
}

// The page wraps its lines.
std::string unwrapped(std::string text) {
  std::ranges::replace(text, '\n', ' ');
  return text;
}

// Whether `text` is made of whole literals, but for what the first lacks in front and the last
// behind.
bool is_made_of(const std::vector<std::string>& literals, std::string_view text) {
  std::vector<bool> reached(text.size() + 1);
  for (const std::string& literal : literals) {
    if (literal.find(text) != std::string::npos) return true;
    for (size_t cut = 0; cut + 4 <= literal.size(); ++cut) {
      const std::string_view end = std::string_view(literal).substr(cut);
      if (text.starts_with(end)) reached[end.size()] = true;
    }
  }
  for (size_t at = 1; at < text.size(); ++at) {
    if (!reached[at]) continue;
    const std::string_view rest = text.substr(at);
    for (const std::string& literal : literals) {
      if (literal.starts_with(rest)) return true;
      if (rest.starts_with(literal)) reached[at + literal.size()] = true;
    }
  }
  return reached[text.size()];
}

// The constant parts of "mount layer '<id>': something is in the way": what is not in <> nor the
// quotes around it, and each message of those that are nested by itself.
std::vector<std::string> constant_parts(const std::string& message) {
  std::vector<std::string> parts(1);
  for (size_t i = 0; i < message.size(); ++i) {
    if (message.substr(i).starts_with(": ")) {
      parts.emplace_back();
      ++i;
      continue;
    }
    if (message[i] != '<') {
      parts.back() += message[i];
      continue;
    }
    if (parts.back().ends_with('\'')) parts.back().pop_back();
    i = message.find('>', i);
    REQUIRE(i != std::string::npos);
    if (message.substr(i + 1).starts_with('\'')) ++i;
    parts.emplace_back();
  }
  // A ',' says nothing.
  std::erase_if(parts, [](const std::string& part) { return part.size() < 3; });
  return parts;
}

// The code span that begins behind `before`; empty if `line` does not begin with that.
std::string code_behind(const std::string& line, std::string_view before) {
  if (!line.starts_with(before)) return {};
  return line.substr(before.size(), line.find('`', before.size()) - before.size());
}

TEST_SUITE("docs/troubleshooting.md") {
  TEST_CASE("every message in a heading or at the beginning of a row is in the program") {
    const std::vector<std::string> literals = literals_of_program();
    std::istringstream page(content_of(kRoot + "docs/troubleshooting.md"));
    size_t messages = 0;
    for (std::string line; std::getline(page, line);) {
      std::string message = code_behind(line, "### `");
      if (message.empty()) message = code_behind(line, "| `");
      if (message.empty()) continue;
      ++messages;
      CAPTURE(message);
      for (const std::string& part : constant_parts(message)) {
        CAPTURE(part);
        CHECK(is_made_of(literals, part));
      }
    }
    CHECK(messages > 50);
  }

  TEST_CASE("every message that is thrown is explained, or needs no explanation") {
    const std::string page = unwrapped(content_of(kRoot + "docs/troubleshooting.md"));
    const std::vector<std::string> unexplained = lines_of(kRoot + "tests/docs/unexplained.txt");
    std::set<std::string> used;
    const std::vector<std::string> messages = thrown_messages();
    for (const std::string& message : messages) {
      CAPTURE(message);
      if (is_on(page, message)) continue;
      const auto listed = std::ranges::find(unexplained, core_of(message));
      CHECK(listed != unexplained.end());
      if (listed != unexplained.end()) used.insert(*listed);
    }
    CHECK(messages.size() > 80);
    for (const std::string& line : unexplained) {
      CAPTURE(line);
      CHECK_MESSAGE(used.contains(line), "is not thrown, or is on the page");
    }
  }

  TEST_CASE("every heading is a message, of overlayd or of Docker") {
    std::istringstream page(content_of(kRoot + "docs/troubleshooting.md"));
    for (std::string line; std::getline(page, line);) {
      if (!line.starts_with("### ")) continue;
      CAPTURE(line);
      CHECK((line.starts_with("### `") || line.starts_with("### Docker: `")));
    }
  }

  TEST_CASE("a message that is not in the program is noticed") {
    const std::vector<std::string> literals = literals_of_program();
    for (const std::string text :
         {"there is no layer ", "max depth exceeded: layer ", "is being filled by an ApplyDiff",
          "it has no 'diff' directory"}) {
      CAPTURE(text);
      CHECK(is_made_of(literals, text));
    }
    for (const std::string text :
         {"there is no lawyer ", "max depth exceeded: lair ", "is being filled by an ApplyTar"}) {
      CAPTURE(text);
      CHECK_FALSE(is_made_of(literals, text));
    }
  }
}

}  // namespace
}  // namespace overlayd
