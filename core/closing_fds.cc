// SPDX-License-Identifier: Apache-2.0
#include "core/closing_fds.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <utility>

namespace overlayd {
namespace {

// How many of the sorted descriptors, from the first, have numbers without a gap.
size_t length_of_run(std::span<const UniqueFd> fds) {
  size_t length = 1;
  while (length < fds.size() && fds[length].get() == fds[length - 1].get() + 1) ++length;
  return length;
}

#ifdef __SANITIZE_THREAD__
// The thread sanitizer does not see what close_range(2) closes, and takes the next use of a number
// for a race.
constexpr bool kHasCloseRange = false;
#else
constexpr bool kHasCloseRange = true;
#endif

// All numbers from the first to the last are owned by these, so nobody else's is closed. Where the
// kernel (before 5.9) or a filter of system calls does not have the call, their owners close them.
void close_run(std::span<UniqueFd> run) {
  const auto first = static_cast<unsigned>(run.front().get());
  const auto last = static_cast<unsigned>(run.back().get());
  if (!kHasCloseRange || run.size() == 1 || ::close_range(first, last, 0) != 0) return;
  for (UniqueFd& fd : run) static_cast<void>(fd.release());
}

}  // namespace

void ClosingFds::add(UniqueFd fd) {
  fds_.push_back(std::move(fd));
  if (fds_.size() == kMax) close();
}

void ClosingFds::close() noexcept {
  const int saved = errno;
  std::ranges::sort(fds_, {}, [](const UniqueFd& fd) { return fd.get(); });
  for (std::span<UniqueFd> rest = fds_; !rest.empty();) {
    const auto run = rest.first(length_of_run(rest));
    rest = rest.subspan(run.size());
    close_run(run);
  }
  fds_.clear();
  errno = saved;
}

}  // namespace overlayd
