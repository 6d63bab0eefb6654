// SPDX-License-Identifier: Apache-2.0
#include "tests/faults/faultable_calls.h"

#include <sys/syscall.h>

#include <algorithm>
#include <iterator>

namespace overlayd::test {
namespace {

struct Call {
  uint64_t number;
  const char* name;
  CallKind kind;
};

#define CAN_FAIL(name) \
  { SYS_##name, #name, CallKind::CanFail }
#define INTERRUPTIBLE(name) \
  { SYS_##name, #name, CallKind::Interruptible }
#define LEFT_ALONE(name) \
  { SYS_##name, #name, CallKind::LeftAlone }

constexpr Call kCalls[] = {
    // Files.
    INTERRUPTIBLE(openat),
    INTERRUPTIBLE(openat2),
    INTERRUPTIBLE(read),
    INTERRUPTIBLE(pread64),
    INTERRUPTIBLE(write),
    INTERRUPTIBLE(pwrite64),
    INTERRUPTIBLE(writev),
    INTERRUPTIBLE(ftruncate),
    INTERRUPTIBLE(fallocate),
    INTERRUPTIBLE(fsync),
    INTERRUPTIBLE(fdatasync),
    INTERRUPTIBLE(statfs),
    INTERRUPTIBLE(fstatfs),
    INTERRUPTIBLE(getrandom),
    CAN_FAIL(syncfs),
    CAN_FAIL(sync_file_range),
    CAN_FAIL(lseek),
    CAN_FAIL(getdents64),
    CAN_FAIL(faccessat),
    CAN_FAIL(faccessat2),
    CAN_FAIL(fstat),
    CAN_FAIL(newfstatat),
    CAN_FAIL(statx),
    CAN_FAIL(readlink),
    CAN_FAIL(readlinkat),
    CAN_FAIL(mkdir),
    CAN_FAIL(mkdirat),
    CAN_FAIL(mknodat),
    CAN_FAIL(symlinkat),
    CAN_FAIL(linkat),
    CAN_FAIL(unlinkat),
    CAN_FAIL(renameat),
    CAN_FAIL(renameat2),
    CAN_FAIL(fchmod),
    CAN_FAIL(fchmodat),
    CAN_FAIL(fchown),
    CAN_FAIL(fchownat),
    CAN_FAIL(utimensat),
    CAN_FAIL(fcntl),
    CAN_FAIL(close_range),
    CAN_FAIL(ioctl),
    CAN_FAIL(quotactl_fd),
    CAN_FAIL(flock),  // only ever asked not to wait
    CAN_FAIL(getxattr),
    CAN_FAIL(lgetxattr),
    CAN_FAIL(fgetxattr),
    CAN_FAIL(setxattr),
    CAN_FAIL(lsetxattr),
    CAN_FAIL(fsetxattr),
    CAN_FAIL(listxattr),
    CAN_FAIL(llistxattr),
    CAN_FAIL(flistxattr),
    CAN_FAIL(removexattr),
    CAN_FAIL(lremovexattr),
    CAN_FAIL(fremovexattr),
    // Mounts.
    CAN_FAIL(fsopen),
    CAN_FAIL(fsconfig),
    CAN_FAIL(fsmount),
    CAN_FAIL(move_mount),
    CAN_FAIL(open_tree),
    CAN_FAIL(mount_setattr),
    CAN_FAIL(mount),
    CAN_FAIL(umount2),
    // Threads, and what they may do.
    CAN_FAIL(clone3),
    CAN_FAIL(clone),
    CAN_FAIL(unshare),
    CAN_FAIL(fchdir),
    CAN_FAIL(landlock_create_ruleset),
    CAN_FAIL(landlock_add_rule),
    CAN_FAIL(landlock_restrict_self),
    CAN_FAIL(capget),
    CAN_FAIL(capset),

    LEFT_ALONE(close),
    LEFT_ALONE(mmap),
    LEFT_ALONE(munmap),
    LEFT_ALONE(mprotect),
    LEFT_ALONE(mremap),
    LEFT_ALONE(madvise),
    LEFT_ALONE(brk),
    LEFT_ALONE(futex),
    LEFT_ALONE(rt_sigprocmask),
    LEFT_ALONE(rt_sigaction),
    LEFT_ALONE(rt_sigreturn),
    LEFT_ALONE(set_robust_list),
    LEFT_ALONE(rseq),
    LEFT_ALONE(restart_syscall),
    LEFT_ALONE(sched_yield),
    LEFT_ALONE(sched_getaffinity),
    LEFT_ALONE(exit),
    LEFT_ALONE(exit_group),
    LEFT_ALONE(getpid),
    LEFT_ALONE(gettid),
    LEFT_ALONE(tgkill),
    LEFT_ALONE(geteuid),
    LEFT_ALONE(getegid),
    LEFT_ALONE(umask),
};

#undef CAN_FAIL
#undef INTERRUPTIBLE
#undef LEFT_ALONE

const Call* find(uint64_t number) {
  const auto* const found =
      std::ranges::find_if(kCalls, [&](const Call& call) { return call.number == number; });
  return found == std::end(kCalls) ? nullptr : found;
}

}  // namespace

CallKind kind_of_call(uint64_t number) {
  const Call* call = find(number);
  return call == nullptr ? CallKind::Unlisted : call->kind;
}

std::string name_of_call(uint64_t number) {
  const Call* call = find(number);
  return call == nullptr ? "system call " + std::to_string(number) : call->name;
}

}  // namespace overlayd::test
