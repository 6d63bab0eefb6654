// SPDX-License-Identifier: Apache-2.0
#include "plugin/routes.h"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <doctest/doctest.h>

#include "tests/support/temp_dir.h"
#include "tests/unit/plugin/fake_store.h"

namespace overlayd {
namespace {

struct Plugin : test::FakeDriver {
  Plugin() { driver.init({.home = "/var/lib/docker/overlayd", .options = {}, .id_maps = {}}); }

  HttpReply call(const std::string& path, const std::string& body, const std::string& query = "",
                 const std::string& method = "POST") {
    StringSource source(body);
    return routes.handle({.method = method, .path = path, .query = query, .body = source});
  }

  /// Whether it is a line of the metrics.
  bool counts(const std::string& line) const {
    return ("\n" + metrics.text(std::nullopt)).find("\n" + line + "\n") != std::string::npos;
  }

  /// The lines that count calls.
  std::string call_series() const {
    std::istringstream all(metrics.text(std::nullopt));
    std::string lines;
    for (std::string line; std::getline(all, line);) {
      if (line.starts_with("overlayd_call")) lines += line + "\n";
    }
    return lines;
  }

  Routes routes{driver, metrics, log};
};

const std::filesystem::path kRoot = OVERLAYD_SOURCE_DIR;
const std::filesystem::path kGolden = kRoot / "tests/data/protocol";

std::string content_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  REQUIRE_MESSAGE(file, path.string());
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string golden(const std::string& name) { return content_of(kGolden / name); }

TEST_SUITE("routes") {
  TEST_CASE("every endpoint answers its golden request with its golden reply") {
    for (const std::string endpoint :
         {"GraphDriver.Init", "GraphDriver.Capabilities", "GraphDriver.Create",
          "GraphDriver.CreateReadWrite", "GraphDriver.Remove", "GraphDriver.Get", "GraphDriver.Put",
          "GraphDriver.Exists", "GraphDriver.Status", "GraphDriver.GetMetadata",
          "GraphDriver.Cleanup", "GraphDriver.DiffSize"}) {
      CAPTURE(endpoint);
      Plugin plugin;
      const std::string name = endpoint.substr(endpoint.find('.') + 1);
      const HttpReply reply = plugin.call("/" + endpoint, golden(name + ".request.json"));
      CHECK(reply.status == 200);
      CHECK(reply.body == golden(name + ".response.json"));
    }
  }

  TEST_CASE("the protocol page shows every golden request and reply") {
    const std::string page = content_of(kRoot / "docs/protocol.md");
    for (const auto& entry : std::filesystem::directory_iterator(kGolden)) {
      if (entry.path().filename() == "Error.response.json") continue;  // one of many
      CAPTURE(entry.path().string());
      CHECK(page.find("```json\n" + content_of(entry.path()) + "```\n") != std::string::npos);
    }
  }

  TEST_CASE("Activate answers its golden reply to an empty request") {
    CHECK(Plugin().call("/Plugin.Activate", "").body == golden("Activate.response.json"));
  }

  TEST_CASE("ApplyDiff takes its ids from the query and its golden reply is the size") {
    Plugin plugin;
    const HttpReply reply =
        plugin.call("/GraphDriver.ApplyDiff", std::string(640, 'x'), "id=top&parent=base");
    CHECK(reply.body == golden("ApplyDiff.response.json"));
    CHECK(plugin.world.calls().front() == "apply top on base");
  }

  TEST_CASE("Diff answers with the tar itself") {
    Plugin plugin;
    const HttpReply reply = plugin.call("/GraphDriver.Diff", golden("Diff.request.json"));
    CHECK(reply.status == 200);
    REQUIRE(reply.stream);
    StringSink sink;
    CHECK(reply.stream(sink));
    CHECK(sink.text() == "a tar");
  }

  TEST_CASE("a Diff that cannot begin is an ordinary error") {
    const HttpReply reply = Plugin().call("/GraphDriver.Diff", R"({"ID":"unknown"})");
    CHECK(reply.status == 500);
    CHECK_FALSE(reply.stream);
    CHECK(reply.body == golden("Error.response.json"));
  }

  TEST_CASE("a Diff that breaks off says so and does not throw") {
    Plugin plugin;
    plugin.world.on_send = [](ByteSink&) { throw Error(ErrorKind::NotFound, "gone"); };
    const HttpReply reply = plugin.call("/GraphDriver.Diff", R"({"ID":"a"})");
    StringSink sink;
    CHECK_FALSE(reply.stream(sink));
  }

  TEST_CASE("Changes sends its golden reply while it is found") {
    Plugin plugin;
    const HttpReply reply = plugin.call("/GraphDriver.Changes", golden("Changes.request.json"));
    CHECK(reply.status == 200);
    REQUIRE(reply.stream);
    CHECK(reply.type == ContentType::Json);
    StringSink sink;
    CHECK(reply.stream(sink));
    CHECK(sink.text() == golden("Changes.response.json"));
  }

  TEST_CASE("Changes that cannot begin are an ordinary error") {
    const HttpReply reply = Plugin().call("/GraphDriver.Changes", R"({"ID":"unknown"})");
    CHECK(reply.status == 500);
    CHECK_FALSE(reply.stream);
    CHECK(reply.body == golden("Error.response.json"));
  }

  TEST_CASE("Changes that break off end in an error that an engine reads") {
    Plugin plugin;
    plugin.world.on_tell = [](const ChangeSink& sink) {
      sink("/etc", ChangeKind::Modify);
      throw Error(ErrorKind::NotFound, "gone");
    };
    const HttpReply reply = plugin.call("/GraphDriver.Changes", R"({"ID":"a"})");
    StringSink sink;
    CHECK(reply.stream(sink));
    CHECK(sink.text() == "{\"Changes\":[{\"Path\":\"/etc\",\"Kind\":0}],\"Err\":\"gone\"}\n");
  }

  TEST_CASE("Changes whose receiver goes away say so and do not throw") {
    struct Gone final : ByteSink {
      void write(std::span<const std::byte>) override {
        throw Error(ErrorKind::Aborted, "the receiver went away");
      }
    } gone;
    Plugin plugin;
    const HttpReply reply = plugin.call("/GraphDriver.Changes", R"({"ID":"a"})");
    CHECK_FALSE(reply.stream(gone));
  }

  TEST_CASE("a metadata reply of a layer with nothing below has no LowerDir") {
    const HttpReply reply = Plugin().call("/GraphDriver.GetMetadata", R"({"ID":"base"})");
    CHECK(reply.body.find("LowerDir") == std::string::npos);
    CHECK(reply.body.find("UpperDir") != std::string::npos);
  }

  TEST_CASE("an empty or truncated request is refused by name and has no effect") {
    for (const std::string body : {"", "{\"ID\":\"a\"", "{}", "null"}) {
      for (const std::string endpoint : {"Create", "CreateReadWrite", "Remove", "Get", "Put",
                                         "Exists", "GetMetadata", "Diff", "Changes", "DiffSize"}) {
        CAPTURE(endpoint);
        CAPTURE(body);
        Plugin plugin;
        const HttpReply reply = plugin.call("/GraphDriver." + endpoint, body);
        CHECK(reply.status == 500);
        CHECK(reply.body.starts_with("{\"Err\":\"GraphDriver." + endpoint + ": "));
        CHECK(plugin.world.calls().empty());
      }
    }
  }

  TEST_CASE("an Init without a body is refused by name where none was resumed") {
    Plugin plugin;
    CHECK(plugin.call("/GraphDriver.Init", "").body ==
          "{\"Err\":\"GraphDriver.Init: request body is empty\"}\n");
  }

  TEST_CASE("an ApplyDiff without an id is refused by name") {
    Plugin plugin;
    CHECK(plugin.call("/GraphDriver.ApplyDiff", "x", "").body ==
          "{\"Err\":\"GraphDriver.ApplyDiff: layer id is empty\"}\n");
    CHECK(plugin.world.calls().empty());
  }

  TEST_CASE("an unknown path and an unknown method are not found") {
    Plugin plugin;
    for (const char* path :
         {"/", "", "/GraphDriver.", "/GraphDriver.Nothing", "/graphdriver.get"}) {
      CAPTURE(path);
      CHECK(plugin.call(path, "{}").status == 404);
    }
    const HttpReply reply = plugin.call("/GraphDriver.Put", R"({"ID":"a"})", "", "GET");
    CHECK(reply.status == 404);
    CHECK(reply.body == "{\"Err\":\"no such endpoint: GET '/GraphDriver.Put'\"}\n");
  }

  TEST_CASE("every call is counted once, with the kind of its error") {
    Plugin plugin;
    plugin.call("/GraphDriver.Put", R"({"ID":"a"})");
    plugin.call("/GraphDriver.Put", "");
    plugin.call("/GraphDriver.Get", R"({"ID":"unknown"})");
    plugin.world.on_get = [] { throw 7; };
    plugin.call("/GraphDriver.Get", R"({"ID":"a"})");
    CHECK(plugin.counts(R"(overlayd_calls_total{endpoint="GraphDriver.Put"} 2)"));
    CHECK(plugin.counts(
        R"(overlayd_call_errors_total{endpoint="GraphDriver.Put",kind="invalid-argument"} 1)"));
    CHECK(plugin.counts(R"(overlayd_calls_total{endpoint="GraphDriver.Get"} 2)"));
    CHECK(plugin.counts(
        R"(overlayd_call_errors_total{endpoint="GraphDriver.Get",kind="not-found"} 1)"));
    CHECK(plugin.counts(
        R"(overlayd_call_errors_total{endpoint="GraphDriver.Get",kind="internal"} 1)"));
  }

  TEST_CASE("a stream is counted at its end, with its bytes") {
    Plugin plugin;
    const HttpReply reply = plugin.call("/GraphDriver.Diff", R"({"ID":"a"})");
    CHECK(plugin.counts(R"(overlayd_calls_total{endpoint="GraphDriver.Diff"} 0)"));
    StringSink sink;
    reply.stream(sink);
    CHECK(plugin.counts(R"(overlayd_calls_total{endpoint="GraphDriver.Diff"} 1)"));
    CHECK(plugin.counts("overlayd_bytes_sent_total 5"));
    plugin.world.on_send = [](ByteSink&) { throw Error(ErrorKind::Aborted, "gone"); };
    plugin.call("/GraphDriver.Diff", R"({"ID":"a"})").stream(sink);
    CHECK(plugin.counts(
        R"(overlayd_call_errors_total{endpoint="GraphDriver.Diff",kind="aborted"} 1)"));
    plugin.world.on_tell = [](const ChangeSink&) { throw Error(ErrorKind::NotFound, "gone"); };
    plugin.call("/GraphDriver.Changes", R"({"ID":"a"})").stream(sink);
    CHECK(plugin.counts(
        R"(overlayd_call_errors_total{endpoint="GraphDriver.Changes",kind="not-found"} 1)"));
    plugin.call("/GraphDriver.ApplyDiff", std::string(640, 'x'), "id=top&parent=base");
    CHECK(plugin.counts("overlayd_bytes_received_total 640"));
  }

  TEST_CASE("a call of no endpoint makes no series") {
    Plugin plugin;
    const std::string before = plugin.call_series();
    plugin.call("/GraphDriver.Nothing", "");
    plugin.call("/GraphDriver.Put", R"({"ID":"a"})", "", "GET");
    CHECK(plugin.call_series() == before);
  }

  TEST_CASE("a JSON request beyond the limit is refused") {
    const HttpReply reply =
        Plugin().call("/GraphDriver.Put", std::string(Routes::kMaxJson + 1, ' '));
    CHECK(reply.status == 413);
    CHECK(reply.body == "{\"Err\":\"GraphDriver.Put: request body is too large\"}\n");
  }

  TEST_CASE("what is thrown besides errors becomes an answer too") {
    Plugin plugin;
    plugin.world.on_get = [] { throw 7; };
    CHECK(plugin.call("/GraphDriver.Get", R"({"ID":"a"})").body ==
          "{\"Err\":\"unknown internal error\"}\n");
    plugin.world.on_get = [] { throw std::bad_alloc(); };
    CHECK(plugin.call("/GraphDriver.Get", R"({"ID":"a"})").status == 500);
  }
}

}  // namespace
}  // namespace overlayd
