// SPDX-License-Identifier: Apache-2.0
#include "plugin/http_server.h"

#include <fcntl.h>
#include <sys/resource.h>

#include <chrono>
#include <csignal>
#include <future>
#include <latch>
#include <list>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "core/error.h"
#include "core/sys.h"
#include "plugin/driver.h"
#include "plugin/routes.h"
#include "plugin/unix_listener.h"
#include "tests/support/raw_client.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/plugin/fake_store.h"

namespace overlayd {
namespace {

using test::chunk;
using test::post;
using test::post_chunked;
using test::RawClient;
using namespace std::chrono_literals;

// The daemon but for its main and its store.
struct Daemon : test::FakeDriver {
  Daemon() {
    ::signal(SIGPIPE, SIG_IGN);
    driver.init({.home = "/home", .options = {}, .id_maps = {}});
    server.start();
  }

  std::filesystem::path socket() const { return scratch / "plugin.sock"; }

  Routes routes{driver, metrics, log};
  HttpServer server{std::make_unique<UnixListener>(scratch / "plugin.sock"),
                    [this](const HttpCall& call) { return routes.handle(call); }, log};
};

bool ends_with(const std::string& text, const std::string& end) { return text.ends_with(end); }
bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

const std::string kPut = "/GraphDriver.Put";
const std::string kGet = "/GraphDriver.Get";
const std::string kDiff = "/GraphDriver.Diff";
const std::string kApply = "/GraphDriver.ApplyDiff?id=a&parent=";
const std::string kA = R"({"ID":"a"})";

void check_still_serving(Daemon& daemon) {
  RawClient client(daemon.socket());
  client.send(post(kPut, kA));
  CHECK(ends_with(client.read_reply(), "\r\n\r\n{}\n"));
}

TEST_SUITE("http_server") {
  TEST_CASE("success is status 200 with a JSON body and nothing that ends the connection") {
    Daemon daemon;
    RawClient client(daemon.socket());
    for (int i = 0; i < 20; ++i) {
      client.send(post(kPut, kA));
      CHECK(client.read_reply() ==
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"
            "Content-Type: application/vnd.docker.plugins.v1.2+json\r\n\r\n{}\n");
    }
  }

  TEST_CASE("an empty Host and a body in chunks are as good as any") {
    Daemon daemon;
    RawClient client(daemon.socket());
    client.send("POST " + kPut + " HTTP/1.1\r\nHost:\r\nTransfer-Encoding: chunked\r\n\r\n" +
                chunk("{\"ID\"") + chunk(":\"a\"}\n") + "0\r\n\r\n");
    CHECK(ends_with(client.read_reply(), "{}\n"));
    client.send("POST " + kPut + " HTTP/1.1\r\nHost: \r\nContent-Length: 10\r\n\r\n" + kA);
    CHECK(ends_with(client.read_reply(), "{}\n"));
  }

  TEST_CASE("no Content-Type is special") {
    Daemon daemon;
    RawClient client(daemon.socket());
    const std::string body = std::string(20000, ' ') + kA;
    for (const std::string type :
         {"application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
          "application/json", "text/plain"}) {
      CAPTURE(type);
      client.send("POST " + kPut + " HTTP/1.1\r\nHost: x\r\nContent-Type: " + type +
                  "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
      CHECK(ends_with(client.read_reply(), "{}\n"));
    }
  }

  TEST_CASE("a POST without a length has an empty body") {
    Daemon daemon;
    RawClient client(daemon.socket());
    client.send("POST /Plugin.Activate HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(ends_with(client.read_reply(), "{\"Implements\":[\"GraphDriver\"]}\n"));
    client.send("POST " + kPut + " HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(contains(client.read_reply(), "GraphDriver.Put: request body is empty"));
    client.send(post(kPut, kA));
    CHECK(ends_with(client.read_reply(), "{}\n"));
  }

  TEST_CASE("a client that waits for leave to send its body gets it") {
    Daemon daemon;
    RawClient client(daemon.socket());
    client.send("POST " + kPut +
                " HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n");
    CHECK(client.read_past("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
    client.send(kA);
    CHECK(ends_with(client.read_reply(), "{}\n"));
  }

  TEST_CASE("a client may ask for the connection to be closed") {
    Daemon daemon;
    RawClient client(daemon.socket());
    client.send("POST " + kPut +
                " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 10\r\n\r\n" + kA);
    CHECK(ends_with(client.read_to_end(), "{}\n"));
  }

  TEST_CASE("connecting and closing without a word is nothing special") {
    Daemon daemon;
    for (int i = 0; i < 50; ++i) RawClient client(daemon.socket());
    check_still_serving(daemon);
  }

  TEST_CASE("an unknown path is not found and its body is no obstacle") {
    Daemon daemon;
    RawClient client(daemon.socket());
    client.send(post("/Nothing", std::string(300000, 'x')));
    const std::string reply = client.read_reply();
    CHECK(reply.starts_with("HTTP/1.1 404 "));
    CHECK(ends_with(reply, "{\"Err\":\"no such endpoint: POST '/Nothing'\"}\n"));
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(client.read_reply().starts_with("HTTP/1.1 404 "));
  }

  TEST_CASE("what is not HTTP is refused and the connection closed") {
    Daemon daemon;
    for (const std::string request :
         {"nonsense\r\n\r\n", "BREW / HTTP/1.1\r\n\r\n",
          "POST /GraphDriver.Put HTTP/1.1\r\nContent-Length: many\r\n\r\n",
          "POST /GraphDriver.Put HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
          "POST /GraphDriver.Put HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
          "POST /GraphDriver.Put HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: "
          "chunked\r\n\r\n"}) {
      CAPTURE(request);
      RawClient client(daemon.socket());
      client.send(request);
      const std::string reply = client.read_to_end();
      CHECK(reply.starts_with("HTTP/1.1 400 "));
      CHECK(contains(reply, "Connection: close\r\n"));
      CHECK(contains(reply, "{\"Err\":"));
    }
    CHECK(daemon.world.calls().empty());
    check_still_serving(daemon);
  }

  TEST_CASE("a JSON body that is cut short has no effect") {
    Daemon daemon;
    RawClient client(daemon.socket());
    client.send("POST " + kPut + " HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n" + kA);
    client.finish_sending();
    CHECK(contains(client.read_to_end(), "GraphDriver.Put: request body ended before"));
    CHECK(daemon.world.calls().empty());
  }

  TEST_CASE("a JSON body beyond the limit is refused and the connection lives on") {
    Daemon daemon;
    RawClient client(daemon.socket());
    client.send(post(kPut, std::string(3 * 1024 * 1024, ' ')));
    CHECK(client.read_reply().starts_with("HTTP/1.1 413 "));
    client.send(post(kPut, kA));
    CHECK(ends_with(client.read_reply(), "{}\n"));
  }

  TEST_CASE("ApplyDiff gets the whole body, in chunks of every size") {
    Daemon daemon;
    RawClient client(daemon.socket());
    client.send(post_chunked(kApply));
    size_t total = 0;
    for (const size_t size : {1UL, 2UL, 15UL, 16UL, 4096UL, 65536UL, 65537UL, 1000000UL}) {
      client.send(chunk(std::string(size, 'x')));
      total += size;
    }
    client.send("0\r\nTrailer: ignored\r\n\r\n");
    CHECK(ends_with(client.read_reply(), "{\"Size\":" + std::to_string(total) + "}\n"));
    client.send(post(kApply, std::string(12345, 'x')));
    CHECK(ends_with(client.read_reply(), "{\"Size\":12345}\n"));
    client.send(post(kApply, ""));
    CHECK(ends_with(client.read_reply(), "{\"Size\":0}\n"));
  }

  TEST_CASE("an ApplyDiff body that is cut short never looks complete") {
    const std::string cut_bodies[] = {
        post_chunked(kApply),
        post_chunked(kApply) + chunk("content"),
        post_chunked(kApply) + "10\r\nhalf",
        post_chunked(kApply) + chunk("content") + "0\r\n",
        post_chunked(kApply) + chunk("content") + "zz\r\n",
        post_chunked(kApply) + "3\r\nlonger\r\n0\r\n\r\n",
        "POST " + kApply + " HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\ncontent",
    };
    for (const std::string& request : cut_bodies) {
      CAPTURE(request);
      Daemon daemon;
      RawClient client(daemon.socket());
      client.send(request);
      client.finish_sending();
      CHECK(client.read_to_end().starts_with("HTTP/1.1 500 "));
      CHECK(daemon.world.calls() == std::vector<std::string>{"apply a on nothing"});
    }
  }

  TEST_CASE("a client that vanishes in the middle of an ApplyDiff makes it fail") {
    Daemon daemon;
    std::latch failed(1);
    daemon.world.on_receive = [&](ByteSource& source) -> int64_t {
      try {
        drain(source);
      } catch (const Error& error) {
        CHECK(error.kind() == ErrorKind::Aborted);
        failed.count_down();
        throw;
      }
      return 0;
    };
    { RawClient(daemon.socket()).send(post_chunked(kApply) + chunk("content")); }
    failed.wait();
  }

  TEST_CASE("an ApplyDiff that fails early is answered once all has been sent") {
    Daemon daemon;
    daemon.world.on_receive = [](ByteSource&) -> int64_t {
      throw Error(ErrorKind::BadArchive, "bad tar");
    };
    RawClient client(daemon.socket());
    client.send(post_chunked(kApply));
    for (int i = 0; i < 100; ++i) REQUIRE(client.send(chunk(std::string(65536, 'x'))));
    client.send("0\r\n\r\n");
    CHECK(ends_with(client.read_reply(), "{\"Err\":\"bad tar\"}\n"));
    client.send(post(kPut, kA));
    CHECK(ends_with(client.read_reply(), "{}\n"));
  }

  TEST_CASE("Diff sends a tar in chunks, whatever the size of the writes") {
    Daemon daemon;
    daemon.world.on_send = [](ByteSink& sink) {
      sink.write(as_bytes("abc"));
      sink.write({});
      sink.write(as_bytes(std::string(100000, 'x')));
    };
    RawClient client(daemon.socket());
    client.send(post(kDiff, kA));
    const std::string head = client.read_past("\r\n\r\n");
    CHECK(head.starts_with("HTTP/1.1 200 "));
    CHECK(contains(head, "Content-Type: application/x-tar\r\n"));
    CHECK(contains(head, "Transfer-Encoding: chunked\r\n"));
    CHECK(client.read_past("0\r\n\r\n") ==
          chunk("abc") + chunk(std::string(100000, 'x')) + "0\r\n\r\n");
    client.send(post(kPut, kA));
    CHECK(ends_with(client.read_reply(), "{}\n"));
  }

  TEST_CASE("files in a Diff are chunks of it, wherever the kernel can send them from") {
    Daemon daemon;
    const std::string large(3'000'000, 'x');
    daemon.scratch.write("f", large);
    const std::string environment = sys::read_file(AT_FDCWD, "/proc/self/environ", 1 << 20);
    REQUIRE_FALSE(environment.empty());
    daemon.world.on_send = [&](ByteSink& sink) {
      sink.write(as_bytes("abc"));
      sink.write_file({sys::openat(daemon.scratch.fd(), "f", O_RDONLY), large.size(), "f"});
      // No sendfile(2) from this one.
      sink.write_file(
          {sys::openat(AT_FDCWD, "/proc/self/environ", O_RDONLY), environment.size(), "e"});
      sink.write(as_bytes("def"));
    };
    RawClient client(daemon.socket());
    client.send(post(kDiff, kA));
    client.read_past("\r\n\r\n");
    CHECK(client.read_past("0\r\n\r\n") ==
          chunk("abc") + chunk(large) + chunk(environment) + chunk("def") + "0\r\n\r\n");
    client.send(post(kPut, kA));
    CHECK(ends_with(client.read_reply(), "{}\n"));
  }

  TEST_CASE("a file that became shorter cuts the Diff, and is named") {
    Daemon daemon;
    daemon.scratch.write("f", "short");
    std::promise<std::string> error;
    daemon.world.on_send = [&](ByteSink& sink) {
      try {
        sink.write_file({sys::openat(daemon.scratch.fd(), "f", O_RDONLY), 100'000, "d/f"});
      } catch (const Error& why) {
        error.set_value(why.what());
        throw;
      }
    };
    RawClient client(daemon.socket());
    client.send(post(kDiff, kA));
    CHECK_FALSE(ends_with(client.read_to_end(), "0\r\n\r\n"));
    CHECK(error.get_future().get() == "'d/f': became shorter while being read");
    check_still_serving(daemon);
  }

  TEST_CASE("an empty diff is a complete reply") {
    Daemon daemon;
    daemon.world.on_send = [](ByteSink&) {};
    RawClient client(daemon.socket());
    client.send(post(kDiff, kA));
    client.read_past("\r\n\r\n");
    CHECK(client.read_past("0\r\n\r\n") == "0\r\n\r\n");
    client.send(post(kPut, kA));
    CHECK(ends_with(client.read_reply(), "{}\n"));
  }

  TEST_CASE("a Range does not make a part of a layer look like all of it") {
    Daemon daemon;
    RawClient client(daemon.socket());
    client.send("POST " + kDiff +
                " HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1\r\nContent-Length: 10\r\n\r\n" + kA);
    CHECK(contains(client.read_past("0\r\n\r\n"), "a tar"));
  }

  TEST_CASE("a Diff that fails before its first byte is an error with a reason") {
    Daemon daemon;
    RawClient client(daemon.socket());
    client.send(post(kDiff, R"({"ID":"unknown"})"));
    const std::string reply = client.read_reply();
    CHECK(reply.starts_with("HTTP/1.1 500 "));
    CHECK(ends_with(reply, "{\"Err\":\"no such layer: 'unknown'\"}\n"));
  }

  TEST_CASE("a Diff that fails midway is cut without the final chunk") {
    for (const size_t sent_before : {size_t{0}, size_t{10}, size_t{300000}}) {
      CAPTURE(sent_before);
      Daemon daemon;
      daemon.world.on_send = [&](ByteSink& sink) {
        sink.write(as_bytes(std::string(sent_before, 'x')));
        throw Error(ErrorKind::NotFound, "the layer was removed");
      };
      RawClient client(daemon.socket());
      client.send(post(kDiff, kA));
      const std::string reply = client.read_to_end();
      CHECK(reply.starts_with("HTTP/1.1 200 "));
      CHECK_FALSE(ends_with(reply, "0\r\n\r\n"));
      check_still_serving(daemon);
    }
  }

  TEST_CASE("a client that leaves in the middle of a Diff ends it, also in the middle of a file") {
    const auto write = [](Daemon&, ByteSink& sink) {
      sink.write(as_bytes(std::string(65536, 'x')));
    };
    const auto write_file = [](Daemon& daemon, ByteSink& sink) {
      sink.write_file({sys::openat(daemon.scratch.fd(), "f", O_RDONLY), 3'000'000, "f"});
    };
    for (void (*const send)(Daemon&, ByteSink&) : {+write, +write_file}) {
      Daemon daemon;
      daemon.scratch.write("f", std::string(3'000'000, 'x'));
      std::latch ended(1);
      daemon.world.on_send = [&](ByteSink& sink) {
        try {
          for (;;) send(daemon, sink);
        } catch (const Error& error) {
          CHECK(error.kind() == ErrorKind::Aborted);
          ended.count_down();
          throw;
        }
      };
      {
        RawClient client(daemon.socket());
        client.send(post(kDiff, kA));
        client.read_past("\r\n\r\n");
      }
      ended.wait();
      check_still_serving(daemon);
    }
  }

  TEST_CASE("a diff of one layer can be fed to an ApplyDiff of another") {
    Daemon daemon;
    daemon.world.on_send = [](ByteSink& sink) {
      for (int i = 0; i < 64; ++i) sink.write(as_bytes(std::string(65536, 'x')));
    };
    RawClient from(daemon.socket());
    RawClient to(daemon.socket());
    from.send(post(kDiff, kA));
    from.read_past("\r\n\r\n");
    to.send(post_chunked(kApply) + from.read_past("0\r\n\r\n"));
    CHECK(ends_with(to.read_reply(), "{\"Size\":4194304}\n"));
  }

  TEST_CASE("open connections and blocked streams do not stop a quick call") {
    Daemon daemon;
    std::latch all_streaming(16);
    std::latch release(1);
    daemon.world.on_send = [&](ByteSink& sink) {
      sink.write(as_bytes("begin"));
      all_streaming.count_down();
      release.wait();
    };
    std::list<RawClient> idle;
    for (int i = 0; i < 100; ++i) {
      idle.emplace_back(daemon.socket()).send(post(kPut, kA));
      idle.back().read_reply();
    }
    std::list<RawClient> streaming;
    for (int i = 0; i < 16; ++i) streaming.emplace_back(daemon.socket()).send(post(kDiff, kA));
    all_streaming.wait();
    check_still_serving(daemon);
    idle.front().send(post(kPut, kA));
    CHECK(ends_with(idle.front().read_reply(), "{}\n"));
    release.count_down();
    for (RawClient& client : streaming)
      CHECK(ends_with(client.read_past("0\r\n\r\n"), "0\r\n\r\n"));
  }

  TEST_CASE("descriptors beyond those that select takes are served") {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    REQUIRE(limit.rlim_cur > 1100);
    Daemon daemon;
    std::vector<UniqueFd> fillers;
    while (fillers.empty() || fillers.back().get() < 1030) fillers.emplace_back(::dup(0));
    check_still_serving(daemon);
  }

  TEST_CASE("stopping closes idle connections and removes the socket") {
    Daemon daemon;
    RawClient silent(daemon.socket());
    RawClient idle(daemon.socket());
    idle.send(post(kPut, kA));
    idle.read_reply();
    daemon.server.stop();
    CHECK(silent.read_to_end().empty());
    CHECK(idle.read_to_end().empty());
    CHECK_FALSE(std::filesystem::exists(daemon.socket()));
  }

  TEST_CASE("stopping lets calls under way finish and answer") {
    Daemon daemon;
    std::latch inside(1);
    std::latch go_on(1);
    daemon.world.on_get = [&] {
      inside.count_down();
      go_on.wait();
    };
    RawClient client(daemon.socket());
    client.send(post(kGet, kA));
    inside.wait();
    std::thread stopper([&] { daemon.server.stop(); });
    while (std::filesystem::exists(daemon.socket())) std::this_thread::yield();
    go_on.count_down();
    CHECK(ends_with(client.read_to_end(), "{\"Dir\":\"/home/a/merged\"}\n"));
    stopper.join();
  }

  TEST_CASE("stopping breaks streams that do not end, so that they can be rolled back") {
    Daemon daemon;
    std::latch streaming(2);
    std::latch rolled_back(2);
    daemon.world.on_receive = [&](ByteSource& source) -> int64_t {
      streaming.count_down();
      CHECK_THROWS_AS(drain(source), Error);
      rolled_back.count_down();
      throw Error(ErrorKind::Aborted, "rolled back");
    };
    daemon.world.on_send = [&](ByteSink& sink) {
      streaming.count_down();
      CHECK_THROWS_AS(
          [&] {
            for (;;) sink.write(as_bytes(std::string(65536, 'x')));
          }(),
          Error);
      rolled_back.count_down();
      throw Error(ErrorKind::Aborted, "rolled back");
    };
    RawClient sender(daemon.socket());
    sender.send(post_chunked(kApply) + chunk("content"));
    RawClient receiver(daemon.socket());
    receiver.send(post(kDiff, kA));
    streaming.wait();
    daemon.server.stop(0ms);
    CHECK(rolled_back.try_wait());
    CHECK_FALSE(ends_with(receiver.read_to_end(), "0\r\n\r\n"));
  }
}

}  // namespace
}  // namespace overlayd
