// SPDX-License-Identifier: Apache-2.0
//
// Listener: owner of a listening socket. Clients can connect as soon as it exists, and wait in the
// kernel's queue until somebody accepts.
//
// Threads: accept() from one thread at a time.
#pragma once

#include <string>

#include "core/unique_fd.h"

namespace overlayd {

class Listener {
 public:
  /// How many clients may wait to be accepted; the kernel caps it at net.core.somaxconn.
  static constexpr int kBacklog = 512;

  virtual ~Listener() = default;

  /// Waits for a client. An empty owner means `stop_fd` became readable. Throws SysError only for
  /// what trying again can mend (no descriptors, no memory).
  virtual UniqueFd accept(int stop_fd) = 0;

  /// Closes the socket. Clients still in the queue are reset.
  virtual void close() noexcept = 0;
};

/// accept() of the listening `socket`, which errors name `shown`.
UniqueFd accept_client(int socket, int stop_fd, const std::string& shown);

}  // namespace overlayd
