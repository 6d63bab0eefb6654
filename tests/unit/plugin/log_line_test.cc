// SPDX-License-Identifier: Apache-2.0
#include "plugin/log_line.h"

#include <string>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

namespace overlayd {
namespace {

using namespace std::chrono_literals;

const CallLine kServed{.endpoint = "GraphDriver.Get",
                       .id = "77ab",
                       .time = 412345ns,
                       .status = 200,
                       .end = CallEnd::Served,
                       .error = {}};
const CallLine kFailed{.endpoint = "GraphDriver.Get",
                       .id = "77ab",
                       .time = 1500ms,
                       .status = 500,
                       .end = CallEnd::Failed,
                       .error = "there is no layer '77ab'"};

nlohmann::json parsed(const std::string& members) {
  return nlohmann::json::parse("{" + members + "}");
}

TEST_SUITE("log line") {
  TEST_CASE("a call is one line of text") {
    CHECK(as_text(kServed) == "GraphDriver.Get id='77ab' ms=0.412 status=200");
    CHECK(as_text(kFailed) ==
          "GraphDriver.Get id='77ab' ms=1500.000 status=500: there is no layer '77ab'");
    CallLine cut = kFailed;
    cut.end = CallEnd::Cut;
    cut.status = 200;
    CHECK(as_text(cut) ==
          "GraphDriver.Get id='77ab' ms=1500.000 status=200, cut while sending: there is no layer "
          "'77ab'");
  }

  TEST_CASE("a call without an id has none in its line") {
    CallLine call = kServed;
    call.id = "";
    CHECK(as_text(call) == "GraphDriver.Get ms=0.412 status=200");
    CHECK_FALSE(parsed(as_json(call)).contains("id"));
  }

  TEST_CASE("a call is JSON members in a fixed order") {
    CHECK(as_json(kServed) ==
          R"("message":"call served","endpoint":"GraphDriver.Get","id":"77ab","ms":0.412,)"
          R"("status":200)");
    CHECK(as_json(kFailed) ==
          R"("message":"call failed","endpoint":"GraphDriver.Get","id":"77ab","ms":1500.0,)"
          R"("status":500,"error":"there is no layer '77ab'")");
    CallLine cut = kFailed;
    cut.end = CallEnd::Cut;
    CHECK(parsed(as_json(cut))["message"] == "call cut while sending");
  }

  TEST_CASE("whatever a text holds, it is one line of JSON and comes back") {
    const std::string nasty = "a\"b\\c\n\t\x01{}%v\xc3\xa4";
    const std::string json = as_json(nasty);
    CHECK(json.find('\n') == std::string::npos);
    CHECK(parsed(json)["message"] == nasty);
    CallLine call = kFailed;
    call.error = nasty;
    CHECK(parsed(as_json(call))["error"] == nasty);
  }

  TEST_CASE("bytes that are no UTF-8 are replaced") {
    CHECK(parsed(as_json("a\xff"
                         "b"))["message"] ==
          "a\xef\xbf\xbd"
          "b");
  }
}

}  // namespace
}  // namespace overlayd
