// SPDX-License-Identifier: Apache-2.0
#include "plugin/metrics_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/raw_client.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/plugin/fake_store.h"

namespace overlayd {
namespace {

using test::RawClient;

struct Watched : test::FakeDriver {
  HttpReply ask(const std::string& path, const std::string& method = "GET") {
    StringSource nothing("");
    return answer_metrics({.method = method, .path = path, .query = "", .body = nothing}, driver,
                          metrics, log);
  }
};

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string refusal(const char* address) {
  try {
    parse_metrics_address(address);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

bool can_connect(const LoopbackAddress& address) {
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in raw{};
  raw.sin_family = AF_INET;
  raw.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  raw.sin_port = htons(address.port);
  return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&raw), sizeof raw) == 0;
}

const std::string kScrape = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";

TEST_SUITE("metrics server") {
  TEST_CASE("an address is a unix socket or a port of this machine") {
    CHECK(std::get<std::filesystem::path>(parse_metrics_address("unix:/run/m.sock")) ==
          "/run/m.sock");
    CHECK(std::get<LoopbackAddress>(parse_metrics_address("127.0.0.1:9110")) ==
          LoopbackAddress{.is_v6 = false, .port = 9110});
    CHECK(std::get<LoopbackAddress>(parse_metrics_address("[::1]:65535")) ==
          LoopbackAddress{.is_v6 = true, .port = 65535});
    for (const char* address : {"unix:/run/m.sock", "127.0.0.1:9110", "[::1]:1"}) {
      CHECK(to_string(parse_metrics_address(address)) == address);
    }
  }

  TEST_CASE("every other address is refused by name") {
    for (const char* address :
         {"", "unix:", "/run/m.sock", "0.0.0.0:9110", ":9110", "9110", "[::]:9110", "::1:9110",
          "192.168.0.1:9110", "localhost:9110", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0",
          "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:9110x", "127.0.0.10:9110"}) {
      CAPTURE(address);
      CHECK(refusal(address) ==
            "metrics are served on unix:PATH, 127.0.0.1:PORT or [::1]:PORT, not on " +
                quoted(address));
    }
  }

  TEST_CASE("GET /metrics answers with counts and what the store says, if there is one") {
    Watched watched;
    CHECK(contains(watched.ask("/metrics").body, "\noverlayd_store_open 0\n"));
    watched.driver.init({.home = "/home", .options = {}, .id_maps = {}});
    const HttpReply reply = watched.ask("/metrics");
    CHECK(reply.status == 200);
    CHECK(reply.type == ContentType::Metrics);
    CHECK(contains(reply.body, "\noverlayd_store_open 1\n"));
    CHECK(contains(reply.body, "\noverlayd_layers 12\n"));
  }

  TEST_CASE("nothing else is there") {
    Watched watched;
    CHECK(watched.ask("/").status == 404);
    CHECK(watched.ask("/Plugin.Activate", "POST").status == 404);
    CHECK(watched.ask("/metrics", "POST").status == 405);
  }

  TEST_CASE("a unix socket is served, with mode 0600, and goes away") {
    Watched watched;
    const std::filesystem::path path = watched.scratch / "m.sock";
    auto server = serve_metrics(path, watched.driver, watched.metrics, watched.log);
    struct stat found {};
    REQUIRE(::stat(path.c_str(), &found) == 0);
    CHECK((found.st_mode & 07777) == 0600);
    RawClient client(path);
    client.send(kScrape);
    const std::string reply = client.read_reply();
    CHECK(reply.starts_with("HTTP/1.1 200 "));
    CHECK(contains(reply, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    CHECK(contains(reply, "\noverlayd_store_open 0\n"));
    server.reset();
    CHECK_FALSE(std::filesystem::exists(path));
  }

  TEST_CASE("a port is open until its listener is closed, and nobody else gets it") {
    LoopbackListener listener({.is_v6 = false, .port = 0});
    CHECK(listener.address().port != 0);
    CHECK(can_connect(listener.address()));
    try {
      const LoopbackListener second(listener.address());
      FAIL("two have one port");
    } catch (const SysError& error) {
      CHECK(error.errnum() == EADDRINUSE);
      CHECK(std::string(error.what()).starts_with("listen on " + to_string(listener.address())));
    }
    listener.close();
    CHECK_FALSE(can_connect(listener.address()));
  }

  TEST_CASE("clients past the limit are turned away, and let in when others have left") {
    Watched watched;
    const std::filesystem::path path = watched.scratch / "m.sock";
    const auto server = serve_metrics(path, watched.driver, watched.metrics, watched.log);
    const auto answered = [&](RawClient& client) {
      client.send(kScrape);
      return client.read_reply().starts_with("HTTP/1.1 200 ");
    };
    std::vector<std::unique_ptr<RawClient>> clients;
    bool turned_away = false;
    while (!turned_away && clients.size() < 1000) {
      clients.push_back(std::make_unique<RawClient>(path));
      turned_away = !answered(*clients.back());
    }
    CHECK(clients.size() == 17);
    clients.clear();
    bool let_in = false;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!let_in && std::chrono::steady_clock::now() < deadline) {
      RawClient client(path);
      let_in = answered(client);
    }
    CHECK(let_in);
  }
}

}  // namespace
}  // namespace overlayd
