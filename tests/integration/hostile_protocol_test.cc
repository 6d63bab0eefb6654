// SPDX-License-Identifier: Apache-2.0
//
// Requests that no engine sends, through the real routes to a real store: each is answered with an
// error that says what is wrong, and changes nothing on disk.
#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "core/layer_store.h"
#include "core/stream.h"
#include "core/sys.h"
#include "plugin/driver.h"
#include "plugin/log.h"
#include "plugin/routes.h"
#include "plugin/state_dir.h"
#include "tests/support/root_sandbox.h"
#include "tests/support/tar_builder.h"
#include "tests/support/tree_dump.h"

namespace overlayd::test {
namespace {

/// The endpoints that take an id in JSON, and their other fields.
struct Endpoint {
  std::string name;
  bool has_parent = false;
  bool has_label = false;
  bool has_options = false;
};
const Endpoint kEndpoints[] = {
    {.name = "Create", .has_parent = true, .has_label = true, .has_options = true},
    {.name = "CreateReadWrite", .has_parent = true, .has_label = true, .has_options = true},
    {.name = "Remove"},
    {.name = "Get", .has_label = true},
    {.name = "Put"},
    {.name = "Exists"},
    {.name = "GetMetadata"},
    {.name = "Diff", .has_parent = true},
    {.name = "Changes", .has_parent = true},
    {.name = "DiffSize", .has_parent = true},
};

/// A text that is no id, as it stands in JSON and in a query, and what is said of it.
struct BadId {
  std::string json, raw, reason;
};
const BadId kBadIds[] = {
    {"a/b", "a/b", "contains '/'"},
    {"/", "/", "contains '/'"},
    {"../base", "../base", "contains '/'"},
    {"base/../top", "base/../top", "contains '/'"},
    {"\\u002e\\u002e", "..", "begins with '.'"},
    {".", ".", "begins with '.'"},
    {".overlayd", ".overlayd", "begins with '.'"},
    {"l", "l", "is the name of the link directory"},
    {"base\\u0000", std::string("base\0", 5), "contains a NUL byte"},
    {"\\u0000", std::string(1, '\0'), "contains a NUL byte"},
    {std::string(256, 'n'), std::string(256, 'n'), "is longer than 255 bytes"},
    {std::string(4096, 'n'), std::string(4096, 'n'), "is longer than 255 bytes"},
    {std::string(100, '/'), std::string(100, '/'), "contains '/'"},
};

/// overlayd without its socket, serving "top" on "base", a file in each, and "empty" on "base".
class ProtocolSandbox : public RootSandbox {
 public:
  ProtocolSandbox() {
    succeed("Init", R"({"Home":")" + path() + R"(/home"})");
    succeed("Create", R"({"ID":"base"})");
    fill("id=base", "below");
    succeed("Create", R"({"ID":"top","Parent":"base"})");
    fill("id=top&parent=base", "above");
    succeed("Create", R"({"ID":"empty","Parent":"base"})");
    untouched_ = on_disk();
  }

  ~ProtocolSandbox() { CHECK(on_disk() == untouched_); }

  HttpReply call(const std::string& path, const std::string& body, const std::string& query = "",
                 const std::string& method = "POST") {
    StringSource source(body);
    return routes_.handle({.method = method, .path = path, .query = query, .body = source});
  }
  HttpReply ask(const std::string& name, const std::string& body) {
    return call("/GraphDriver." + name, body);
  }

  /// The call is an error which is one line that says `reason`, and nothing came of it.
  void check_refused(const HttpReply& reply, const std::string& reason, int status = 500) {
    CHECK(reply.status == status);
    CHECK_FALSE(reply.stream);
    CHECK(reply.body.starts_with("{\"Err\":\""));
    CHECK(reply.body.ends_with("\"}\n"));
    CHECK(std::ranges::count(reply.body, '\n') == 1);
    CHECK_MESSAGE(reply.body.find(reason) != std::string::npos, reply.body);
    CHECK(on_disk() == untouched_);
  }

  void succeed(const std::string& name, const std::string& body) {
    const HttpReply reply = ask(name, body);
    REQUIRE_MESSAGE(reply.status == 200, reply.body);
  }

 private:
  void fill(const std::string& query, const std::string& file) {
    const HttpReply reply =
        call("/GraphDriver.ApplyDiff", TarBuilder().file(file, "x").end().str(), query);
    REQUIRE_MESSAGE(reply.status == 200, reply.body);
  }

  std::string on_disk() const { return tree_text(fd(), {.mtimes = true}); }

  Log log_{LogLevel::Off};
  Metrics metrics_;
  StateDir state_{path() + "/state"};
  Driver driver_{state_, MountMethod::Auto, Durability::None, LayerStore::open, metrics_, log_};
  Routes routes_{driver_, metrics_, log_};
  std::string untouched_;
};

TEST_SUITE("hostile protocol") {
  TEST_CASE_FIXTURE(ProtocolSandbox, "what is no id is refused by every endpoint, with its rule") {
    for (const Endpoint& to : kEndpoints) {
      CAPTURE(to.name);
      check_refused(ask(to.name, R"({"ID":""})"), "GraphDriver." + to.name + ": layer id is empty");
      for (const BadId& bad : kBadIds) {
        CAPTURE(bad.json);
        check_refused(ask(to.name, R"({"ID":")" + bad.json + R"("})"), bad.reason);
        if (!to.has_parent) continue;
        const HttpReply reply = ask(to.name, R"({"ID":"new","Parent":")" + bad.json + R"("})");
        check_refused(reply, "parent: layer id ");
        check_refused(reply, bad.reason);
      }
    }
  }

  TEST_CASE_FIXTURE(ProtocolSandbox, "what is no id is refused in the query of an ApplyDiff too") {
    const std::string tar = TarBuilder().file("new", "x").end().str();
    const auto apply = [&](const std::string& query) {
      return call("/GraphDriver.ApplyDiff", tar, query);
    };
    for (const char* query : {"", "id=", "parent=base", "ID=empty", "id", "&&="}) {
      CAPTURE(query);
      check_refused(apply(query), "GraphDriver.ApplyDiff: layer id is empty");
    }
    for (const BadId& bad : kBadIds) {
      CAPTURE(bad.json);
      check_refused(apply("id=" + bad.raw + "&parent=base"), bad.reason);
      check_refused(apply("id=empty&parent=" + bad.raw), bad.reason);
    }
    // Engines escape nothing, so an escape is a part of the name.
    check_refused(apply("id=..%2fbase"), "begins with '.'");
    check_refused(apply("id=x%2f..%2fempty&parent=base"), "there is no layer 'x%2f..%2fempty'");
    check_refused(apply("id=%00"), "there is no layer '%00'");
  }

  TEST_CASE_FIXTURE(ProtocolSandbox, "a layer that is not there is an error, or no work to do") {
    for (const char* name : {"Get", "GetMetadata", "Diff", "Changes", "DiffSize"}) {
      CAPTURE(name);
      check_refused(ask(name, R"({"ID":"nobody"})"), "there is no layer 'nobody'");
    }
    check_refused(call("/GraphDriver.ApplyDiff", "", "id=nobody"), "there is no layer 'nobody'");
    for (const char* name : {"Remove", "Put"}) succeed(name, R"({"ID":"nobody"})");
    CHECK(ask("Exists", R"({"ID":"nobody"})").body == "{\"Exists\":false}\n");
  }

  TEST_CASE_FIXTURE(ProtocolSandbox,
                    "a parent that is not there, not below, or the layer itself is refused") {
    for (const char* name : {"Create", "CreateReadWrite"}) {
      CAPTURE(name);
      check_refused(ask(name, R"({"ID":"new","Parent":"nobody"})"), "there is no layer 'nobody'");
      check_refused(ask(name, R"({"ID":"new","Parent":"new"})"), "there is no layer 'new'");
      check_refused(ask(name, R"({"ID":"top","Parent":"top"})"), "'top' exists already");
    }
    for (const char* name : {"Diff", "Changes", "DiffSize"}) {
      CAPTURE(name);
      for (const std::string parent : {"nobody", "top", "empty"}) {
        check_refused(ask(name, R"({"ID":"top","Parent":")" + parent + R"("})"), quoted(parent));
      }
    }
    for (const std::string parent : {"nobody", "empty", "top"}) {
      const HttpReply reply = call("/GraphDriver.ApplyDiff", "", "id=empty&parent=" + parent);
      check_refused(reply, "'empty'");
    }
  }

  TEST_CASE_FIXTURE(ProtocolSandbox,
                    "a field of another type is refused by name, at every endpoint") {
    const std::string others[] = {"7",  "-1",          "1e400", "true",
                                  "[]", R"(["base"])", "{}",    R"({"ID":"base"})"};
    for (const Endpoint& to : kEndpoints) {
      for (const std::string& other : others) {
        CAPTURE(to.name);
        CAPTURE(other);
        // A number that no double holds is no JSON either.
        const auto refusal = [&](const std::string& field) {
          return other == "1e400" ? "request body is not valid JSON"
                                  : "field '" + field + "' is not ";
        };
        check_refused(ask(to.name, R"({"ID":)" + other + "}"), refusal("ID"));
        const auto with = [&](const std::string& field) {
          return ask(to.name, R"({"ID":"new",")" + field + "\":" + other + "}");
        };
        if (to.has_parent) check_refused(with("Parent"), refusal("Parent"));
        if (to.has_label) check_refused(with("MountLabel"), refusal("MountLabel"));
        if (to.has_options && !other.starts_with('{'))
          check_refused(with("StorageOpt"), refusal("StorageOpt"));
      }
    }
  }

  TEST_CASE_FIXTURE(ProtocolSandbox, "an Init with a field of another type leaves what is served") {
    const std::string home = R"({"Home":")" + path() + R"(/other")";
    for (const std::string field : {"Opts", "UIDMaps", "GIDMaps"}) {
      for (const std::string other : {"7", "true", "\"x\"", "{}", "[7]", "[[]]"}) {
        CAPTURE(field);
        CAPTURE(other);
        check_refused(ask("Init", home + ",\"" + field + "\":" + other + "}"),
                      "field '" + field + "' is not ");
      }
    }
    for (const std::string other : {"7", "true", "[]", "{}", "\"relative\"", "\"\"", "null"}) {
      CAPTURE(other);
      check_refused(ask("Init", R"({"Home":)" + other + "}"), "field 'Home' is not ");
    }
    for (const std::string number : {"-1", "0.5", "\"1\"", "4294967296", "[]"}) {
      CAPTURE(number);
      check_refused(ask("Init", home + R"(,"UIDMaps":[{"container_id":0,"host_id":0,"size":)" +
                                    number + "}]}"),
                    "field 'size' is not a number of 32 bits");
    }
  }

  TEST_CASE_FIXTURE(ProtocolSandbox, "unknown fields change nothing") {
    const std::string fields[] = {R"("Unknown":{"ID":"nobody"})", R"("id":"nobody","iD":"nobody")",
                                  R"("ID\u0000":"nobody")", R"("":null)",
                                  R"("x":[[[[[{"y":[[[[7]]]]}]]]]])"};
    for (const std::string& field : fields) {
      CAPTURE(field);
      for (const std::string& body :
           {R"({"ID":"base",)" + field + "}", "{" + field + R"(,"ID":"base"})"})
        CHECK(ask("Exists", body).body == "{\"Exists\":true}\n");
    }
  }

  TEST_CASE_FIXTURE(ProtocolSandbox,
                    "what is no JSON object, or too much of it, is refused by every endpoint") {
    const std::string bodies[] = {R"({"ID":"base"}{"ID":"top"})",
                                  R"({"ID":"base"} x)",
                                  R"({'ID':'base'})",
                                  R"({"ID":"base",})",
                                  "{\"ID\":\"\xff\"}",
                                  R"({"ID":"\ud800"})",
                                  std::string("{\"ID\":\"ba\0se\"}", 14),
                                  "\"base\"",
                                  "[\"base\"]",
                                  "null",
                                  "7"};
    for (const Endpoint& to : kEndpoints) {
      CAPTURE(to.name);
      for (const std::string& body : bodies) {
        CAPTURE(body.substr(0, 20));
        check_refused(ask(to.name, body), "GraphDriver." + to.name + ": request body is not ");
      }
      const std::string huge = R"({"ID":"base","x":")" + std::string(Routes::kMaxJson, 'x') + "\"}";
      check_refused(ask(to.name, huge), "request body is too large", 413);
    }
  }

  TEST_CASE_FIXTURE(ProtocolSandbox,
                    "a nesting bomb is refused by every endpoint, wherever it stands") {
    constexpr size_t kDepth = 400'000;
    const std::string open(kDepth, '['), closed = open + std::string(kDepth, ']');
    std::string objects;
    while (objects.size() < kDepth) objects += "{\"ID\":";
    for (const Endpoint& to : kEndpoints) {
      CAPTURE(to.name);
      for (const std::string& body : {open, closed, objects, R"({"ID":)" + closed + "}",
                                      R"({"ID":"base","x":)" + closed + "}",
                                      R"({"x":)" + closed + R"(,"y":1,"ID":"base"})"}) {
        CAPTURE(body.substr(0, 20));
        check_refused(ask(to.name, body), "request body is nested too deeply");
      }
    }
  }

  TEST_CASE_FIXTURE(ProtocolSandbox, "other methods and paths lead nowhere") {
    for (const Endpoint& to : kEndpoints) {
      for (const std::string method : {"GET", "PUT", "DELETE", "HEAD", "OPTIONS", "post", ""}) {
        CAPTURE(to.name);
        CAPTURE(method);
        check_refused(call("/GraphDriver." + to.name, R"({"ID":"new"})", "", method),
                      "no such endpoint", 404);
      }
    }
    for (const char* path :
         {"/GraphDriver.Create/", "//GraphDriver.Create", "/graphdriver.create",
          "GraphDriver.Create", "/x/../GraphDriver.Create", "/GraphDriver.Create?",
          "/GraphDriver.DiffGetter", "/VolumeDriver.Create", "*", ""}) {
      CAPTURE(path);
      check_refused(call(path, R"({"ID":"new"})"), "no such endpoint", 404);
    }
  }
}

}  // namespace
}  // namespace overlayd::test
