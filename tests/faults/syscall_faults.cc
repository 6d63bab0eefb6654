// SPDX-License-Identifier: Apache-2.0
#include "tests/faults/syscall_faults.h"

#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <map>

#include "core/error.h"
#include "tests/faults/faultable_calls.h"

namespace overlayd::test {
namespace {

// The work speaks to the tracer by system calls that there are not.
enum Mark : long { kArm = 100'000, kDisarm, kSpare };

class Tracer {
 public:
  Tracer(pid_t child, const SyscallFault& fault) : child_(child), fault_(fault) {}

  FaultedRun follow() {
    begin();
    while (step()) {
    }
    return result_;
  }

 private:
  struct Thread {
    bool in_call = false;
    bool faked = false;  // the call was not made; its result is still to be set
    bool spared = false;
  };

  void begin() {
    int status = 0;
    if (::waitpid(child_, &status, __WALL) != child_ || !WIFSTOPPED(status)) {
      throw Error(ErrorKind::Internal, "the traced child did not stop");
    }
    constexpr long kOptions = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL;
    if (::ptrace(PTRACE_SETOPTIONS, child_, nullptr, kOptions) != 0) {
      throw_errno([] { return "trace a child"; });
    }
    threads_[child_] = {};
    resume(child_, 0);
  }

  // False when the child is gone: its first thread is the last to be reported.
  bool step() {
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, __WALL);
    if (pid < 0) throw_errno([] { return "wait for a traced child"; });
    if (!WIFSTOPPED(status)) {
      threads_.erase(pid);
      result_.status = status;
      return pid != child_;
    }
    const int signal = WSTOPSIG(status);
    if (signal == (SIGTRAP | 0x80)) {
      at_call(pid);
      resume(pid, 0);
    } else if (status >> 16 != 0 || threads_.try_emplace(pid).second) {
      resume(pid, 0);  // a clone(2), or the first stop of what it made
    } else {
      resume(pid, signal);
    }
    return true;
  }

  // It may be dying, of our signal or of its own accord; then there is nothing to resume.
  static void resume(pid_t pid, int signal) {
    ::ptrace(PTRACE_SYSCALL, pid, nullptr, static_cast<long>(signal));
  }

  void at_call(pid_t pid) {
    Thread& thread = threads_[pid];
    thread.in_call = !thread.in_call;
    if (thread.in_call) {
      before_call(pid, thread);
    } else if (thread.faked) {
      thread.faked = false;
      set_register(pid, offsetof(user, regs.rax), -fault_.errnum);
    }
  }

  void before_call(pid_t pid, Thread& thread) {
    errno = 0;
    const long number = ::ptrace(PTRACE_PEEKUSER, pid, offsetof(user, regs.orig_rax), nullptr);
    if (errno != 0 || take_mark(number, thread)) return;
    if (!armed_ || thread.spared || !counts(static_cast<uint64_t>(number))) return;
    ++counted_;
    if (counted_ != fault_.at && !(fault_.stays && result_.hit)) return;
    if (!result_.hit) result_.call = name_of_call(static_cast<uint64_t>(number));
    result_.hit = true;
    if (fault_.errnum == 0) {
      ::kill(child_, SIGKILL);
      return;
    }
    set_register(pid, offsetof(user, regs.orig_rax), -1);
    thread.faked = true;
  }

  bool take_mark(long number, Thread& thread) {
    switch (number) {
      case kArm: return armed_ = true;
      case kDisarm: armed_ = false; return true;
      case kSpare: return thread.spared = true;
      default: return false;
    }
  }

  bool counts(uint64_t number) {
    switch (kind_of_call(number)) {
      case CallKind::Unlisted: result_.unlisted = name_of_call(number); return false;
      case CallKind::LeftAlone: return false;
      case CallKind::CanFail: return fault_.errnum != EINTR;
      case CallKind::Interruptible: return true;
    }
    return false;
  }

  static void set_register(pid_t pid, size_t offset, long value) {
    ::ptrace(PTRACE_POKEUSER, pid, offset, value);
  }

  const pid_t child_;
  const SyscallFault fault_;
  std::map<pid_t, Thread> threads_;
  bool armed_ = false;
  long counted_ = 0;
  FaultedRun result_;
};

}  // namespace

void arm_faults() { ::syscall(kArm); }
void disarm_faults() { ::syscall(kDisarm); }
void spare_this_thread() { ::syscall(kSpare); }

FaultedRun run_with_fault(const SyscallFault& fault, const std::function<void()>& work) {
  const pid_t child = ::fork();
  if (child < 0) throw_errno([] { return "fork"; });
  if (child == 0) {
    ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    ::raise(SIGSTOP);
    work();
    ::_exit(0);
  }
  return Tracer(child, fault).follow();
}

}  // namespace overlayd::test
