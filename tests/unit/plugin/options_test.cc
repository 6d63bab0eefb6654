// SPDX-License-Identifier: Apache-2.0
#include "plugin/options.h"

#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace overlayd {
namespace {

struct Outcome {
  CommandLine command;
  std::string out, err;
};

Outcome parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "overlayd");
  std::ostringstream out, err;
  CommandLine command =
      parse_command_line(static_cast<int>(arguments.size()), arguments.data(), out, err);
  return {std::move(command), out.str(), err.str()};
}

class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
  ~Environment() { ::unsetenv(name_); }

 private:
  const char* name_;
};

TEST_SUITE("options") {
  TEST_CASE("serve takes a socket and a state directory and has defaults for the rest") {
    const Outcome outcome = parse({"serve", "--socket", "/run/x.sock", "--state-dir", "/var/x"});
    REQUIRE(outcome.command.serve);
    CHECK(outcome.command.serve->socket == "/run/x.sock");
    CHECK(outcome.command.serve->state_dir == "/var/x");
    CHECK(outcome.command.serve->log_level == LogLevel::Info);
    CHECK(outcome.command.serve->mount_api == MountMethod::Auto);
    CHECK(outcome.command.serve->durability == Durability::Strict);
    CHECK(outcome.command.serve->log_format == LogFormat::Text);
    CHECK_FALSE(outcome.command.serve->metrics);
  }

  TEST_CASE("the environment stands in for flags, and flags win") {
    const Environment socket("OVERLAYD_SOCKET", "/run/env.sock");
    const Environment state("OVERLAYD_STATE_DIR", "/var/env");
    const Environment level("OVERLAYD_LOG_LEVEL", "debug");
    const Environment method("OVERLAYD_MOUNT_API", "classic");
    const Environment durability("OVERLAYD_DURABILITY", "none");
    const Environment format("OVERLAYD_LOG_FORMAT", "json");
    const Environment metrics("OVERLAYD_METRICS", "[::1]:9110");
    const Outcome outcome = parse({"serve", "--socket", "/run/flag.sock"});
    REQUIRE(outcome.command.serve);
    CHECK(outcome.command.serve->socket == "/run/flag.sock");
    CHECK(outcome.command.serve->state_dir == "/var/env");
    CHECK(outcome.command.serve->log_level == LogLevel::Debug);
    CHECK(outcome.command.serve->mount_api == MountMethod::Classic);
    CHECK(outcome.command.serve->durability == Durability::None);
    CHECK(outcome.command.serve->log_format == LogFormat::Json);
    CHECK(outcome.command.serve->metrics ==
          MetricsAddress(LoopbackAddress{.is_v6 = true, .port = 9110}));
  }

  TEST_CASE("an empty address in the environment means no metrics") {
    const Environment metrics("OVERLAYD_METRICS", "");
    const Outcome outcome = parse({"serve", "--socket", "/x", "--state-dir", "/y"});
    REQUIRE(outcome.command.serve);
    CHECK_FALSE(outcome.command.serve->metrics);
  }

  TEST_CASE("metrics for others than this machine are refused") {
    const Outcome outcome =
        parse({"serve", "--socket", "/x", "--state-dir", "/y", "--metrics", "0.0.0.0:9110"});
    CHECK_FALSE(outcome.command.serve);
    CHECK(outcome.err.find("metrics are served on unix:PATH, 127.0.0.1:PORT or [::1]:PORT, not on "
                           "'0.0.0.0:9110'") != std::string::npos);
  }

  TEST_CASE("relative paths are made absolute") {
    const Outcome outcome = parse({"serve", "--socket", "x.sock", "--state-dir", "state"});
    REQUIRE(outcome.command.serve);
    CHECK(outcome.command.serve->socket.is_absolute());
    CHECK(outcome.command.serve->state_dir.is_absolute());
  }

  TEST_CASE("check takes a home and changes nothing unless it is told to") {
    const Outcome plain = parse({"check", "/home"});
    REQUIRE(plain.command.check);
    CHECK(!plain.command.serve);
    CHECK(plain.command.check->home == "/home");
    CHECK(!plain.command.check->store.repair);
    CHECK(!plain.command.check->store.content);
    CHECK(!plain.command.check->store.layer_database);
    CHECK(!plain.command.check->json);
    const Outcome full =
        parse({"check", "--repair", "--content", "--json", "--layerdb", "/db", "/home"});
    REQUIRE(full.command.check);
    CHECK(full.command.check->store.repair);
    CHECK(full.command.check->store.content);
    CHECK(full.command.check->store.layer_database == "/db");
    CHECK(full.command.check->json);
  }

  TEST_CASE("each command that looks into a store takes its home and what it needs") {
    using Command = InspectOptions::Command;
    const Outcome list = parse({"ls", "--mounted", "--layerdb", "/db", "--json", "/home"});
    REQUIRE(list.command.inspect);
    CHECK(!list.command.check);
    CHECK(list.command.inspect->command == Command::List);
    CHECK(list.command.inspect->home == "/home");
    CHECK(list.command.inspect->mounted);
    CHECK(!list.command.inspect->unfinished);
    CHECK(list.command.inspect->view.layer_database == "/db");
    CHECK(list.command.inspect->json);
    const Outcome tree = parse({"tree", "--size", "--state-dir", "/state", "/home"});
    REQUIRE(tree.command.inspect);
    CHECK(tree.command.inspect->command == Command::Tree);
    CHECK(tree.command.inspect->view.measure);
    CHECK(tree.command.inspect->view.state_dir == "/state");
    const Outcome show = parse({"show", "/home", "abc", "--full"});
    REQUIRE(show.command.inspect);
    CHECK(show.command.inspect->command == Command::Show);
    CHECK(show.command.inspect->layer == "abc");
    CHECK(show.command.inspect->full);
    CHECK(parse({"du", "/home"}).command.inspect->command == Command::Usage);
    CHECK(parse({"status", "/home"}).command.inspect->command == Command::Status);
    CHECK(parse({"status", "--help"}).out.find("Example") != std::string::npos);
  }

  TEST_CASE("moves take the engine's data root and, if it is another, the driver's name") {
    const Outcome adopt = parse({"adopt", "--dry-run", "/root"});
    REQUIRE(adopt.command.move);
    CHECK(adopt.command.move->direction == Direction::Adopt);
    CHECK(adopt.command.move->root == "/root");
    CHECK(adopt.command.move->dry_run);
    CHECK(!adopt.command.move->driver);
    const Outcome release = parse({"release", "--driver", "x:1", "/root"});
    REQUIRE(release.command.move);
    CHECK(release.command.move->direction == Direction::Release);
    CHECK(release.command.move->driver == "x:1");
    CHECK(!release.command.move->dry_run);
    CHECK(parse({"adopt", "--help"}).out.find("Examples") != std::string::npos);
  }

  TEST_CASE("wrong use is explained and fails") {
    const std::vector<std::vector<const char*>> lines{
        {},
        {"serve"},
        {"serve", "--socket", "/x"},
        {"serve", "--socket", "/x", "--state-dir", "/y", "--log-level", "loud"},
        {"serve", "--socket", "/x", "--state-dir", "/y", "--mount-api", "magic"},
        {"serve", "--socket", "/x", "--state-dir", "/y", "--durability", "magic"},
        {"serve", "--socket", "/x", "--state-dir", "/y", "--log-format", "xml"},
        {"serve", "--socket", "/x", "--state-dir", "/y", "--metrics", "9110"},
        {"serve", "--socket", "/x", "--state-dir", "/y", "surplus"},
        {"check"},
        {"check", "/home", "surplus"},
        {"ls"},
        {"show", "/home"},
        {"status", "--size", "/home"},
        {"adopt"},
        {"adopt", "--json", "/root"},
        {"release", "--driver"},
    };
    for (const auto& line : lines) {
      const Outcome outcome = parse(line);
      CHECK_FALSE(outcome.command.serve);
      CHECK_FALSE(outcome.command.check);
      CHECK_FALSE(outcome.command.inspect);
      CHECK_FALSE(outcome.command.move);
      CHECK(outcome.command.exit_code != 0);
      CHECK_FALSE(outcome.err.empty());
    }
  }

  TEST_CASE("help and version go to the output and succeed") {
    for (const char* flag : {"--help", "--version"}) {
      CAPTURE(flag);
      const Outcome outcome = parse({flag});
      CHECK_FALSE(outcome.command.serve);
      CHECK(outcome.command.exit_code == 0);
      CHECK(outcome.out.find("overlayd") != std::string::npos);
    }
  }
}

}  // namespace
}  // namespace overlayd
