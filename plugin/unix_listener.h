// SPDX-License-Identifier: Apache-2.0
//
// UnixListener: owner of the listening socket and of its name in the file system. Clients can
// connect as soon as it exists, and wait in the kernel's queue until somebody accepts.
//
// Threads: accept() from one thread at a time.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>

#include "core/unique_fd.h"

namespace overlayd {

class UnixListener {
 public:
  /// How many clients may wait to be accepted; the kernel caps it at net.core.somaxconn.
  static constexpr int kBacklog = 512;

  /// Makes the directory (0700) if it is missing, then puts a socket of mode 0600 at `path` in one
  /// step, over whatever a dead process left there. Throws Error(Busy) when another process answers
  /// at `path`, InvalidArgument when something that is no socket is in the way.
  explicit UnixListener(const std::filesystem::path& path);
  UnixListener(const UnixListener&) = delete;
  UnixListener& operator=(const UnixListener&) = delete;
  ~UnixListener();  ///< as close()

  /// Waits for a client. An empty owner means `stop_fd` became readable. Throws SysError only for
  /// what trying again can mend (no descriptors, no memory).
  UniqueFd accept(int stop_fd);

  /// Closes the socket and removes its name, unless another process has put its own there. Clients
  /// still in the queue are reset.
  void close() noexcept;

 private:
  std::string temporary_name() const;
  void refuse_if_taken() const;
  void bind_and_publish();
  bool still_ours() const;

  UniqueFd dir_;
  std::string name_;
  std::string shown_path_;
  UniqueFd socket_;
  ino_t inode_ = 0;
};

}  // namespace overlayd
