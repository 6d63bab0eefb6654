// SPDX-License-Identifier: Apache-2.0
//
// How long a quick call takes while others hold connections and stream: Put on one keep-alive
// connection of a running overlayd, with nothing else open, then with 100 connections of which 16
// stream a Diff.
//
//   quick_call SOCKET HOME          HOME is an empty directory that overlayd can see; run by
//   quick-call quick_call SOCKET HOME WHAT     only with nothing else open, and calls it WHAT
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "core/unique_fd.h"

namespace {

using overlayd::UniqueFd;
using Clock = std::chrono::steady_clock;

constexpr int kIdle = 84;
constexpr int kStreams = 16;
constexpr int kCalls = 5000;
constexpr size_t kFileSize = 256 << 20;
constexpr int kFilesOfLayer = 4;

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

UniqueFd dial(const std::string& path) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    fail("connect");
  }
  return fd;
}

// As the engine's client sends it.
std::string request(const std::string& method, const std::string& body,
                    const std::string& connection = "keep-alive") {
  return "POST /GraphDriver." + method +
         " HTTP/1.1\r\nHost: \r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: " +
         std::to_string(body.size() + 1) + "\r\nConnection: " + connection +
         "\r\nAccept: application/vnd.docker.plugins.v1.2+json\r\n\r\n" + body + "\n";
}

void send(const UniqueFd& fd, const std::string& text) {
  if (::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(text.size())) {
    fail("send");
  }
}

void call(const UniqueFd& fd, const std::string& text) {
  send(fd, text);
  std::string reply;
  char buffer[4096];
  while (reply.find("}\n") == std::string::npos) {
    const ssize_t count = ::recv(fd.get(), buffer, sizeof buffer, 0);
    if (count <= 0) fail("receive");
    reply.append(buffer, static_cast<size_t>(count));
  }
  if (reply.find(" 200 ") == std::string::npos) {
    std::fprintf(stderr, "%s\n", reply.c_str());
    std::exit(1);
  }
}

void measure(const char* what, const std::string& socket) {
  const std::string put = request("Put", R"({"ID":")" + std::string(64, 'a') + R"("})");
  const UniqueFd fd = dial(socket);
  for (int i = 0; i < kCalls / 20; ++i) call(fd, put);
  std::vector<double> times;
  for (int i = 0; i < kCalls; ++i) {
    const auto begin = Clock::now();
    call(fd, put);
    times.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
  }
  std::sort(times.begin(), times.end());
  std::printf("%-42s median %7.1f us   p99 %7.1f us   max %7.1f us\n", what, times[kCalls / 2],
              times[kCalls * 99 / 100], times.back());
}

void serve_home(const std::string& socket, const std::string& home) {
  const UniqueFd fd = dial(socket);
  call(fd, request("Init", R"({"Home":")" + home + R"("})"));
}

void make_layer(const std::string& socket, const std::string& home) {
  const UniqueFd fd = dial(socket);
  call(fd, request("Create", R"({"ID":"big"})"));
  const std::string data(kFileSize, 'x');
  for (int i = 0; i < kFilesOfLayer; ++i) {
    std::ofstream(home + "/big/diff/file" + std::to_string(i)) << data;
  }
}

// Reads Diffs one after the other, pausing after each megabyte; with no pause as fast as it can.
class Streams {
 public:
  Streams(const std::string& socket, std::chrono::milliseconds pause) {
    for (int i = 0; i < kStreams; ++i) {
      readers_.emplace_back([this, socket, pause] { read_until_stopped(socket, pause); });
    }
    while (started_ < kStreams) std::this_thread::yield();
    begin_ = Clock::now();
  }

  ~Streams() {
    const double seconds = std::chrono::duration<double>(Clock::now() - begin_).count();
    std::printf("  (the streams moved %.0f MB/s)\n", static_cast<double>(bytes_) / 1e6 / seconds);
    stop_ = true;
    for (std::thread& reader : readers_) reader.join();
  }

 private:
  void read_until_stopped(const std::string& socket, std::chrono::milliseconds pause) {
    std::vector<char> buffer(size_t{1} << 20);
    bool counted = false;
    while (!stop_) {
      const UniqueFd fd = dial(socket);
      send(fd, request("Diff", R"({"ID":"big"})", "close"));
      while (!stop_) {
        const ssize_t count = ::recv(fd.get(), buffer.data(), buffer.size(), MSG_WAITALL);
        if (count <= 0) break;
        bytes_ += count;
        if (!std::exchange(counted, true)) ++started_;
        std::this_thread::sleep_for(pause);
      }
    }
  }

  std::vector<std::thread> readers_;
  std::atomic<bool> stop_ = false;
  std::atomic<int> started_ = 0;
  std::atomic<int64_t> bytes_ = 0;
  Clock::time_point begin_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3 && argc != 4) {
    std::fprintf(stderr, "usage: quick_call SOCKET HOME [WHAT]\n");
    return 2;
  }
  const std::string socket = argv[1];
  serve_home(socket, argv[2]);
  if (argc == 4) {
    measure(argv[3], socket);
    return 0;
  }
  make_layer(socket, argv[2]);
  measure("nothing else open", socket);
  std::vector<UniqueFd> idle;
  for (int i = 0; i < kIdle; ++i) {
    idle.push_back(dial(socket));
    call(idle.back(), request("Exists", R"({"ID":"big"})"));
  }
  {
    const Streams streams(socket, std::chrono::milliseconds(100));
    measure("100 open, 16 streaming at 10 MB/s each", socket);
  }
  {
    const Streams streams(socket, std::chrono::milliseconds(0));
    measure("100 open, 16 streaming as fast as they can", socket);
  }
  measure("nothing else streaming again", socket);
}
