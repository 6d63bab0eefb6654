// SPDX-License-Identifier: Apache-2.0
#include "plugin/loopback_listener.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "core/error.h"

namespace overlayd {
namespace {

// What the two families share in layout is not much.
union SocketAddress {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
};

SocketAddress raw(const LoopbackAddress& address) {
  SocketAddress made{};
  if (address.is_v6) {
    made.v6 = {};
    made.v6.sin6_family = AF_INET6;
    made.v6.sin6_addr = in6addr_loopback;
    made.v6.sin6_port = htons(address.port);
  } else {
    made.v4 = {};
    made.v4.sin_family = AF_INET;
    made.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    made.v4.sin_port = htons(address.port);
  }
  return made;
}

socklen_t length_of(const LoopbackAddress& address) {
  return address.is_v6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
}

uint16_t port_of(int socket, bool is_v6) {
  SocketAddress found{};
  socklen_t length = sizeof found;
  if (::getsockname(socket, &found.any, &length) != 0) throw_errno([] { return "find the port"; });
  return ntohs(is_v6 ? found.v6.sin6_port : found.v4.sin_port);
}

}  // namespace

std::string to_string(const LoopbackAddress& address) {
  return (address.is_v6 ? "[::1]:" : "127.0.0.1:") + std::to_string(address.port);
}

LoopbackListener::LoopbackListener(LoopbackAddress address) : address_(address) {
  const auto what = [&] { return "listen on " + to_string(address); };
  UniqueFd socket(
      ::socket(address.is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP));
  if (!socket) throw_errno(what);
  // A port whose last connections still linger in the kernel is free.
  const int on = 1;
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) throw_errno(what);
  const SocketAddress bound = raw(address);
  if (::bind(socket.get(), &bound.any, length_of(address)) != 0) throw_errno(what);
  if (::listen(socket.get(), kBacklog) != 0) throw_errno(what);
  address_.port = port_of(socket.get(), address.is_v6);
  socket_ = std::move(socket);
}

UniqueFd LoopbackListener::accept(int stop_fd) {
  return accept_client(socket_.get(), stop_fd, to_string(address_));
}

}  // namespace overlayd
