// SPDX-License-Identifier: Apache-2.0
//
// What says something of options, beside the program: each place says what the program does.
#include "plugin/options.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/docs/configuration.h"

namespace overlayd {
namespace {

const std::string kRoot = OVERLAYD_SOURCE_DIR "/";

std::string content_of(const std::string& file) {
  std::ifstream in(kRoot + file);
  REQUIRE(in);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

CommandHelp command(const std::string& name) {
  for (CommandHelp& help : command_help()) {
    if (help.name == name) return help;
  }
  FAIL("no command " << name);
  return {};
}

bool is_argument(const OptionHelp& option) { return !option.name.starts_with("--"); }

// What serve takes from the environment and may be left out: what people set.
std::vector<OptionHelp> settings() {
  std::vector<OptionHelp> found;
  for (OptionHelp& option : command("serve").options) {
    if (!option.variable.empty() && !option.required) found.push_back(option);
  }
  return found;
}

std::set<std::string> words(const std::string& text) {
  std::istringstream in(text);
  return {std::istream_iterator<std::string>(in), {}};
}

// "How it is logged: text or json" lists two.
std::set<std::string> words_listed_in(const std::string& meaning) {
  const size_t colon = meaning.find(": ");
  if (colon == std::string::npos) return {};
  std::string list = meaning.substr(colon + 1);
  std::ranges::replace(list, ',', ' ');
  std::set<std::string> found = words(list);
  found.erase("or");
  return found;
}

std::string output_of(const std::string& shell_command) {
  FILE* pipe = ::popen(shell_command.c_str(), "r");
  REQUIRE(pipe);
  std::string output;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) output += static_cast<char>(c);
  CHECK(::pclose(pipe) == 0);
  return output;
}

// What bash offers behind `line`, in the shell's quotes.
std::set<std::string> completions(const std::string& line) {
  return words(output_of("'" + kRoot + "tests/docs/complete.sh' " + line));
}

// "--log-level" for ".It Fl -log-level Ar level , Ev OVERLAYD_LOG_LEVEL", and so on: in a heading,
// .It has several.
std::set<std::string> options_in_man_page() {
  std::istringstream page(content_of("packaging/overlayd.8"));
  std::set<std::string> found;
  for (std::string line; std::getline(page, line);) {
    if (!line.starts_with(".It Fl ")) continue;
    for (const std::string& word : words(line)) {
      if (word.starts_with("-")) found.insert("-" + word);
    }
  }
  return found;
}

TEST_SUITE("what is written of options") {
  TEST_CASE("docs/configuration.md has what the program parses, as scripts/docs writes it") {
    const std::string page = content_of("docs/configuration.md");
    CHECK(page == with_tables(page));
  }

  TEST_CASE("config.json lets all be set that the program takes from the environment") {
    const nlohmann::json config = nlohmann::json::parse(content_of("config.json"));
    std::set<std::string> settable;
    for (const auto& row : config.at("Env")) settable.insert(row.at("Name").get<std::string>());
    std::set<std::string> known;
    for (const OptionHelp& option : settings()) known.insert(option.variable);
    CHECK(settable == known);
  }

  TEST_CASE("config.json says of each what the program says, with its default") {
    const nlohmann::json config = nlohmann::json::parse(content_of("config.json"));
    for (const auto& row : config.at("Env")) {
      for (const OptionHelp& option : settings()) {
        if (option.variable != row.at("Name")) continue;
        CAPTURE(option.variable);
        CHECK(row.at("Description").get<std::string>().starts_with(option.meaning));
        CHECK(row.at("Value") == option.fallback);
        CHECK(row.at("Settable") == nlohmann::json{"value"});
      }
    }
  }

  TEST_CASE("config.json and the service give what must be given") {
    const nlohmann::json config = nlohmann::json::parse(content_of("config.json"));
    const std::string entry_point = config.at("Entrypoint").dump();
    const std::string unit = content_of("packaging/overlayd.service");
    for (const OptionHelp& option : command("serve").options) {
      if (!option.required) continue;
      CAPTURE(option.name);
      CHECK(has(entry_point, "\"" + option.name + "\""));
      CHECK(has(unit, " " + option.name + " "));
    }
  }

  TEST_CASE("/etc/default/overlayd names every variable with its meaning and default") {
    const std::string file = content_of("packaging/default");
    for (const OptionHelp& option : settings()) {
      const std::string line = "#" + option.variable + "=";
      CAPTURE(line);
      CHECK(has(file, "\n# " + option.meaning + "\n" + line));
      if (!option.fallback.empty()) CHECK(has(file, line + option.fallback + "\n"));
    }
  }

  TEST_CASE("bash completes the commands, and the options of each") {
    std::set<std::string> commands;
    for (const CommandHelp& help : command_help()) {
      std::set<std::string> options;
      for (const OptionHelp& option : help.options) {
        if (!is_argument(option)) options.insert(option.name);
      }
      CAPTURE(help.name);
      CHECK(completions(help.name + " --") == options);
      if (!help.name.empty()) commands.insert(help.name);
    }
    std::set<std::string> offered = completions("''");
    std::erase_if(offered, [](const std::string& word) { return word.starts_with("-"); });
    CHECK(offered == commands);
  }

  TEST_CASE("bash completes an option's words as its description lists them") {
    for (const OptionHelp& option : settings()) {
      const std::set<std::string> offered = completions("serve " + option.name + " ''");
      CAPTURE(option.name);
      CHECK(!offered.empty());
      for (const std::string& word : offered) CHECK(has(option.meaning, word));
      const std::set<std::string> listed = words_listed_in(option.meaning);
      if (!listed.empty()) CHECK(offered == listed);
    }
  }

  TEST_CASE("the words that a description lists are taken") {
    size_t taken = 0;
    for (const OptionHelp& option : settings()) {
      for (const std::string& word : words_listed_in(option.meaning)) {
        CAPTURE(word);
        const std::vector<const char*> line{
            "overlayd",    "serve", "--socket",          "/x",
            "--state-dir", "/y",    option.name.c_str(), word.c_str()};
        std::ostringstream out, err;
        CHECK(parse_command_line(static_cast<int>(line.size()), line.data(), out, err).serve);
        ++taken;
      }
    }
    CHECK(taken > 10);
  }

  TEST_CASE("the man page has every command and option, and no other option") {
    const std::string page = content_of("packaging/overlayd.8");
    std::set<std::string> options;
    for (const CommandHelp& help : command_help()) {
      if (help.name.empty()) continue;
      CAPTURE(help.name);
      CHECK((has(page, "\n.Cm " + help.name) || has(page, " | " + help.name + "\n")));
      for (const OptionHelp& option : help.options) {
        if (!is_argument(option) && option.name != "--help") options.insert(option.name);
      }
    }
    CHECK(options_in_man_page() == options);
  }

  TEST_CASE("the man page names the variable of each option of serve") {
    const std::string page = content_of("packaging/overlayd.8");
    for (const OptionHelp& option : command("serve").options) {
      if (option.variable.empty()) continue;
      CAPTURE(option.name);
      const size_t line = page.find("\n.It Fl " + option.name.substr(1) + " ");
      REQUIRE(line != std::string::npos);
      CHECK(has(page.substr(line, page.find('\n', line + 1) - line), " Ev " + option.variable));
    }
  }
}

}  // namespace
}  // namespace overlayd
