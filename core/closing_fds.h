// SPDX-License-Identifier: Apache-2.0
//
// ClosingFds: descriptors that are done with, closed many at a time. Where files are opened one
// after another their numbers mostly follow each other, and a run of them is one call of
// close_range(2). One thread uses an object.
#pragma once

#include <vector>

#include "core/unique_fd.h"

namespace overlayd {

class ClosingFds {
 public:
  /// As many are kept open meanwhile, no more.
  static constexpr size_t kMax = 32;

  ClosingFds() = default;
  /// Closes what is left.
  ~ClosingFds() { close(); }
  ClosingFds(const ClosingFds&) = delete;
  ClosingFds& operator=(const ClosingFds&) = delete;

  /// Takes over a descriptor, and closes it some time.
  void add(UniqueFd fd);

  /// Closes all there are. As with UniqueFd, nobody hears of an error: what must be known to be
  /// written is synced before.
  void close() noexcept;

 private:
  std::vector<UniqueFd> fds_;
};

}  // namespace overlayd
