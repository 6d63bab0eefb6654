// SPDX-License-Identifier: Apache-2.0
#include "core/confinement.h"

#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>

#include "core/error.h"
#include "core/sys.h"
#include "core/unique_fd.h"

namespace overlayd {
namespace {

// Debian 12's headers end with ABI 2; the numbers are the kernel's for ever.
constexpr uint64_t kAccessTruncate = uint64_t{1} << 14;  // ABI 3, Linux 6.2
constexpr uint64_t kAccessAbi1 = (uint64_t{1} << 13) - 1;
constexpr uint64_t kAccessRefer = uint64_t{1} << 13;  // ABI 2, Linux 5.19

// 0: this kernel has none, or it is off. Any other error is no reason to go unconfined.
int landlock_abi() {
  const long abi =
      ::syscall(SYS_landlock_create_ruleset, nullptr, size_t{0}, LANDLOCK_CREATE_RULESET_VERSION);
  if (abi < 0 && errno != ENOSYS && errno != EOPNOTSUPP) {
    throw_errno([] { return "ask for the version of Landlock"; });
  }
  return static_cast<int>(std::max(abi, 0L));
}

// Every right that this kernel can take away.
uint64_t known_rights(int abi) {
  uint64_t rights = kAccessAbi1;
  // Without REFER in the ruleset Landlock forbids linking between directories outright; ABI 1 does
  // that always, so layers with such links would fail there.
  if (abi >= 2) rights |= kAccessRefer;
  if (abi >= 3) rights |= kAccessTruncate;
  return rights;
}

UniqueFd make_ruleset(uint64_t rights) {
  landlock_ruleset_attr attributes{};
  attributes.handled_access_fs = rights;
  UniqueFd ruleset(static_cast<int>(
      ::syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes.handled_access_fs, 0)));
  if (!ruleset) throw_errno([] { return "make a Landlock ruleset"; });
  return ruleset;
}

void allow_below(int ruleset, int directory, uint64_t rights) {
  landlock_path_beneath_attr rule{};
  rule.allowed_access = rights;
  rule.parent_fd = directory;
  if (::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0) {
    throw_errno([] { return "add a Landlock rule"; });
  }
}

constexpr uint64_t kReading = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;

void landlock_this_thread(int root, int readable) {
  const uint64_t rights = known_rights(landlock_abi());
  const UniqueFd ruleset = make_ruleset(rights);
  allow_below(ruleset.get(), root, rights);
  allow_below(ruleset.get(), readable, kReading);
  // Needs CAP_SYS_ADMIN or no_new_privs; we have the first.
  if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) {
    throw_errno([] { return "confine a thread with Landlock"; });
  }
}

// What extraction needs: owners, modes and set-id bits of anybody's files, device nodes, file
// capabilities, and trusted xattrs (which is all of CAP_SYS_ADMIN that is used).
constexpr std::array<unsigned, 7> kKept = {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER,   CAP_FSETID,
                                           CAP_MKNOD, CAP_SETFCAP,      CAP_SYS_ADMIN};

// The raw calls act on the calling thread alone; libcap's would, too, but this is all we need of
// it.
void drop_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> data{};
  if (::syscall(SYS_capget, &header, data.data()) != 0) {
    throw_errno([] { return "read capabilities"; });
  }
  std::array<uint32_t, _LINUX_CAPABILITY_U32S_3> kept{};
  for (const unsigned capability : kKept) {
    kept[CAP_TO_INDEX(capability)] |= CAP_TO_MASK(capability);
  }
  for (size_t i = 0; i < data.size(); ++i) {
    data[i].permitted &= kept[i];
    data[i].effective &= kept[i];
    data[i].inheritable = 0;
  }
  if (::syscall(SYS_capset, &header, data.data()) != 0) {
    throw_errno([] { return "drop capabilities"; });
  }
}

// Modes are then exact. With a umask of its own, which it does not share with the other threads.
void drop_umask() {
  if (::unshare(CLONE_FS) != 0) throw_errno([] { return "give a thread a umask of its own"; });
  ::umask(0);
}

}  // namespace

Confinement available_confinement() {
  return landlock_abi() >= 2 ? Confinement::Landlocked : Confinement::CapsOnly;
}

void run_confined(int root, int readable, const std::function<void()>& work) {
  sys::run_in_own_thread([&] {
    if (available_confinement() == Confinement::Landlocked) landlock_this_thread(root, readable);
    drop_capabilities();
    drop_umask();
    work();
  });
}

}  // namespace overlayd
