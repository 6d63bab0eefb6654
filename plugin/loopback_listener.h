// SPDX-License-Identifier: Apache-2.0
//
// LoopbackListener: TCP, from this machine only: whoever can connect is not asked who they are.
#pragma once

#include <cstdint>
#include <string>

#include "core/unique_fd.h"
#include "plugin/listener.h"

namespace overlayd {

struct LoopbackAddress {
  bool is_v6 = false;  ///< ::1 instead of 127.0.0.1
  uint16_t port = 0;   ///< 0: one that is free
  bool operator==(const LoopbackAddress&) const = default;
};

/// "127.0.0.1:9110", "[::1]:9110".
std::string to_string(const LoopbackAddress& address);

class LoopbackListener final : public Listener {
 public:
  /// Throws SysError; EADDRINUSE: another socket is there.
  explicit LoopbackListener(LoopbackAddress address);

  /// The one that clients connect to.
  LoopbackAddress address() const { return address_; }

  UniqueFd accept(int stop_fd) override;
  void close() noexcept override { socket_.reset(); }

 private:
  LoopbackAddress address_;
  UniqueFd socket_;
};

}  // namespace overlayd
