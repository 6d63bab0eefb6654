// SPDX-License-Identifier: Apache-2.0
#include "plugin/shutdown.h"

#include <signal.h>

namespace overlayd {
namespace {

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

}  // namespace

StopSignals::StopSignals() {
  const sigset_t set = stop_signals();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}

int StopSignals::wait() {
  const sigset_t set = stop_signals();
  int signal = 0;
  ::sigwait(&set, &signal);
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  return signal;
}

}  // namespace overlayd
