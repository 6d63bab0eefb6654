// SPDX-License-Identifier: Apache-2.0
#include "plugin/http_server.h"

#include <sys/eventfd.h>
#include <sys/socket.h>

#include <array>
#include <cinttypes>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>

#include <httplib.h>

#include "core/error.h"
#include "core/scope_exit.h"
#include "plugin/http_body.h"
#include "plugin/protocol.h"
#include "plugin/socket_io.h"
#include "plugin/worker_pool.h"

namespace overlayd {
namespace {

// Each connection costs a thread. An engine keeps two idle ones and makes as many calls at once as
// it has containers starting, so this is far off; past it, clients wait in line.
constexpr size_t kMaxConnections = 1024;

// How long to leave a process alone that has run out of descriptors or memory.
constexpr std::chrono::milliseconds kAcceptPause{50};

constexpr const char* kJson = "application/vnd.docker.plugins.v1.2+json";

const char* name_of(ContentType type) {
  switch (type) {
    case ContentType::Json: return kJson;
    case ContentType::Tar: return "application/x-tar";
    case ContentType::Metrics: return "text/plain; version=0.0.4; charset=utf-8";
  }
  return kJson;
}

// The library's view of our socket.
class LibraryStream final : public httplib::Stream {
 public:
  explicit LibraryStream(SocketIo& io) : io_(io) {}
  bool is_readable() const override { return true; }
  bool is_writable() const override { return true; }
  ssize_t read(char* ptr, size_t size) override {
    return static_cast<ssize_t>(io_.read(std::as_writable_bytes(std::span(ptr, size))));
  }
  ssize_t write(const char* ptr, size_t size) override {
    return io_.write(std::as_bytes(std::span(ptr, size))) ? static_cast<ssize_t>(size) : -1;
  }
  void get_remote_ip_and_port(std::string&, int&) const override {}
  void get_local_ip_and_port(std::string&, int&) const override {}
  // The library refuses descriptors from FD_SETSIZE on, for the sake of a select() that is not
  // used.
  socket_t socket() const override { return INVALID_SOCKET; }

 private:
  SocketIo& io_;
};

// Frames what is written as HTTP chunks. Done here and not by the library, which copies each twice.
class ChunkSink final : public ByteSink {
 public:
  explicit ChunkSink(SocketIo& io) : io_(io) {}

  void write(std::span<const std::byte> bytes) override {
    if (bytes.empty()) return;  // an empty chunk would be the terminating one
    std::array<char, 20> head;
    const int length = std::snprintf(head.data(), head.size(), "%zx\r\n", bytes.size());
    if (!io_.write({head.data(), static_cast<size_t>(length)}, bytes, "\r\n"))
      throw Error(ErrorKind::Aborted, "the receiver went away");
  }

  // As one chunk. Of one that ends early the client sees that it is cut off.
  void write_file(FileData file) override {
    std::array<char, 20> head;
    const int length = std::snprintf(head.data(), head.size(), "%" PRIx64 "\r\n", file.size);
    const bool sent = io_.write({}, {}, {head.data(), static_cast<size_t>(length)}) &&
                      with_context([&] { return overlayd::quoted(file.name); },
                                   [&] { return io_.send_file(file.fd.get(), file.size); }) &&
                      io_.write({}, {}, "\r\n");
    if (!sent) throw Error(ErrorKind::Aborted, "the receiver went away");
  }

 private:
  SocketIo& io_;
};

// The library's request loop for one client. Its server object keeps no state that clients would
// share, so each gets its own and the handlers need not ask whose call they are in. svr_sock_ only
// tells the library that nobody has called its stop().
class Connection : private httplib::Server {
 public:
  Connection(int fd, int stop_fd, const HttpHandler& handler)
      : io_(fd), stop_fd_(stop_fd), stream_(io_), handler_(handler) {
    svr_sock_ = fd;
    set_pre_routing_handler([this](const auto& request, auto& response) {
      handle(request, response);
      return HandlerResponse::Handled;
    });
    set_error_handler([this](const auto&, auto& response) { explain(response); });
    // The library announces a keep-alive timeout that does not exist here.
    set_post_routing_handler(
        [](const auto&, auto& response) { response.headers.erase("Keep-Alive"); });
  }

  void serve() {
    while (io_.wait_readable(stop_fd_) && serve_one()) {
    }
  }

 private:
  bool serve_one() {
    bool last = false;
    keep_ = false;  // until the request has been understood and its body read to the end
    const bool replied = process_request(stream_, false, last, [](httplib::Request& request) {
      request.ranges.clear();  // a layer is sent whole or not at all
    });
    return io_.flush() && replied && keep_ && !last;
  }

  void handle(const httplib::Request& request, httplib::Response& response) {
    std::optional<HttpBody> body;
    try {
      body = HttpBody::framed_by(io_, request.get_header_value("Content-Length"),
                                 request.get_header_value("Transfer-Encoding"));
    } catch (const Error& error) {
      refuse(response, 400, error.what());
      return;
    }
    HttpReply reply = handler_({.method = request.method,
                                .path = request.path,
                                .query = query_of(request.target),
                                .body = *body});
    // A client still sending would miss the reply.
    keep_ = body->drain_rest();
    send(response, std::move(reply));
  }

  static std::string_view query_of(std::string_view target) {
    const size_t mark = target.find('?');
    return mark == std::string_view::npos ? std::string_view() : target.substr(mark + 1);
  }

  void send(httplib::Response& response, HttpReply reply) {
    response.status = reply.status;
    if (!keep_) response.set_header("Connection", "close");
    if (!reply.stream) {
      response.set_content(reply.body, name_of(reply.type));
      return;
    }
    response.set_chunked_content_provider(
        name_of(reply.type),
        [this, stream = std::move(reply.stream)](size_t, httplib::DataSink& library_sink) {
          ChunkSink sink(io_);
          if (!stream(sink)) return false;
          library_sink.done();
          return true;
        });
  }

  // The library itself found the request unfit and has set a status.
  void explain(httplib::Response& response) {
    if (response.body.empty()) refuse(response, response.status, "malformed HTTP request");
  }

  static void refuse(httplib::Response& response, int status, const std::string& why) {
    response.status = status;
    response.set_header("Connection", "close");
    response.set_content(encode(ErrorReply{why}), kJson);
  }

  SocketIo io_;
  int stop_fd_;
  LibraryStream stream_;
  const HttpHandler& handler_;
  bool keep_ = false;
};

// The connections that have a socket now.
class OpenSockets {
 public:
  // How many there are then.
  size_t add(int fd) {
    const std::lock_guard lock(mutex_);
    fds_.insert(fd);
    return fds_.size();
  }

  // Called before the descriptor is closed, so that shut_all cannot hit another's.
  void remove(int fd) {
    const std::lock_guard lock(mutex_);
    fds_.erase(fd);
    if (fds_.empty()) empty_.notify_all();
  }

  bool wait_empty(std::chrono::milliseconds time) {
    std::unique_lock lock(mutex_);
    return empty_.wait_for(lock, time, [&] { return fds_.empty(); });
  }

  size_t shut_all() {
    const std::lock_guard lock(mutex_);
    for (const int fd : fds_) ::shutdown(fd, SHUT_RDWR);
    return fds_.size();
  }

 private:
  std::mutex mutex_;
  std::condition_variable empty_;
  std::set<int> fds_;
};

UniqueFd stop_event() {
  UniqueFd fd(::eventfd(0, EFD_CLOEXEC));
  if (!fd) throw_errno([] { return "make an eventfd"; });
  return fd;
}

}  // namespace

struct HttpServer::Impl {
  Impl(std::unique_ptr<Listener> the_listener, HttpHandler the_handler, Log& the_log,
       size_t the_most_clients)
      : listener(std::move(the_listener)),
        handler(std::move(the_handler)),
        log(the_log),
        most_clients(the_most_clients) {}

  void accept_clients();
  bool accept_one();
  void hand_over(UniqueFd client);
  void serve(UniqueFd client) noexcept;

  std::unique_ptr<Listener> listener;
  const HttpHandler handler;
  Log& log;
  const size_t most_clients;
  UniqueFd stopping = stop_event();  ///< readable for good once stop() was called
  OpenSockets sockets;
  WorkerPool workers{kMaxConnections};
  std::thread acceptor;
};

void HttpServer::Impl::accept_clients() {
  while (accept_one()) {
  }
}

bool HttpServer::Impl::accept_one() {
  try {
    UniqueFd client = listener->accept(stopping.get());
    if (!client) return false;
    hand_over(std::move(client));
  } catch (const std::exception& error) {
    log.warning(std::string("cannot take a client: ") + error.what());
    std::this_thread::sleep_for(kAcceptPause);
  }
  return true;
}

// A std::function must be copyable, so the owner travels as a plain descriptor.
void HttpServer::Impl::hand_over(UniqueFd client) {
  const int fd = client.get();
  ScopeExit forget([&] { sockets.remove(fd); });
  if (sockets.add(fd) > most_clients) return;
  workers.submit([this, fd] { serve(UniqueFd(fd)); });
  forget.dismiss();
  static_cast<void>(client.release());
}

void HttpServer::Impl::serve(UniqueFd client) noexcept {
  try {
    Connection(client.get(), stopping.get(), handler).serve();
  } catch (const std::exception& error) {
    log.error(std::string("connection dropped: ") + error.what());
  }
  sockets.remove(client.get());
}

HttpServer::HttpServer(std::unique_ptr<Listener> listener, HttpHandler handler, Log& log,
                       size_t most_clients)
    : impl_(std::make_unique<Impl>(std::move(listener), std::move(handler), log, most_clients)) {}

HttpServer::~HttpServer() { stop(std::chrono::milliseconds(0)); }

void HttpServer::start() {
  impl_->acceptor = std::thread([this] { impl_->accept_clients(); });
}

void HttpServer::stop(std::chrono::milliseconds grace) {
  if (!impl_->acceptor.joinable()) return;
  ::eventfd_write(impl_->stopping.get(), 1);
  impl_->acceptor.join();
  impl_->listener->close();
  if (!impl_->sockets.wait_empty(grace)) {
    const size_t cut = impl_->sockets.shut_all();
    impl_->log.warning("stopping: cut " + std::to_string(cut) +
                       " connections that were still busy");
  }
  impl_->workers.join();
}

}  // namespace overlayd
