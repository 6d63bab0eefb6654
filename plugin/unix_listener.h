// SPDX-License-Identifier: Apache-2.0
//
// UnixListener: owner of the listening socket and of its name in the file system.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>

#include "core/unique_fd.h"
#include "plugin/listener.h"

namespace overlayd {

class UnixListener final : public Listener {
 public:
  /// Makes the directory (0700) if it is missing, then puts a socket of mode 0600 at `path` in one
  /// step, over whatever a dead process left there. Throws Error(Busy) when another process answers
  /// at `path`, InvalidArgument when something that is no socket is in the way.
  explicit UnixListener(const std::filesystem::path& path);
  UnixListener(const UnixListener&) = delete;
  UnixListener& operator=(const UnixListener&) = delete;
  ~UnixListener() override;  ///< as close()

  UniqueFd accept(int stop_fd) override;
  /// Removes its name, too, unless another process has put its own there.
  void close() noexcept override;

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
