// SPDX-License-Identifier: Apache-2.0
//
// RootSandbox: a fixture for cases that mount. The process enters a mount namespace of its own,
// once; every case gets an empty tmpfs to work on (it takes trusted xattrs, device nodes and
// overlay uppers), and at its end is held to having left nothing: no mount below the sandbox, no
// open descriptor, no thread. Use from the main thread. Without the privilege to mount, the case
// fails and says so.
#pragma once

#include <cstddef>
#include <string>

#include "core/unique_fd.h"
#include "tests/support/temp_dir.h"

namespace overlayd::test {

/// Puts this process into a private mount namespace; the first call does it, later ones nothing.
/// Throws SysError without CAP_SYS_ADMIN.
void enter_mount_namespace();

size_t count_open_fds();
bool is_open(int fd);
/// Threads that have been joined may linger in /proc for an instant: waits for `expected`, up to a
/// second, and returns what there is then.
size_t count_threads(size_t expected);

class RootSandbox {
 public:
  RootSandbox();
  ~RootSandbox();
  RootSandbox(const RootSandbox&) = delete;
  RootSandbox& operator=(const RootSandbox&) = delete;

  const std::string& path() const { return directory_.path(); }  ///< absolute
  int fd() const { return fd_.get(); }

 private:
  void check_nothing_left() const;

  TempDir directory_;
  UniqueFd fd_;  // of the tmpfs on it
  size_t fds_ = 0;
  size_t threads_ = 0;
};

}  // namespace overlayd::test
