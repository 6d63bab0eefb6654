// SPDX-License-Identifier: Apache-2.0
#include "plugin/listener.h"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "core/error.h"

namespace overlayd {
namespace {

// Errors of a single connection attempt (accept(2), "Error handling in Linux"), not of the
// listener.
bool is_the_clients(int errnum) {
  return errnum == EINTR || errnum == ECONNABORTED || errnum == EAGAIN || errnum == EPROTO ||
         errnum == EPERM;
}

}  // namespace

UniqueFd accept_client(int socket, int stop_fd, const std::string& shown) {
  for (;;) {
    std::array<pollfd, 2> fds{pollfd{.fd = socket, .events = POLLIN, .revents = 0},
                              pollfd{.fd = stop_fd, .events = POLLIN, .revents = 0}};
    const int ready = ::poll(fds.data(), fds.size(), -1);
    if (ready < 0 && errno != EINTR) throw_errno("wait for clients of", shown);
    if (ready <= 0) continue;
    if (fds[1].revents != 0) return {};
    UniqueFd client(::accept4(socket, nullptr, nullptr, SOCK_CLOEXEC));
    if (client) return client;
    if (!is_the_clients(errno)) throw_errno("accept a client of", shown);
  }
}

}  // namespace overlayd
