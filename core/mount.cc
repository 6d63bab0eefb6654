// SPDX-License-Identifier: Apache-2.0
#include "core/mount.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cctype>
#include <sstream>
#include <unordered_set>

#include "core/error.h"
#include "core/scope_exit.h"
#include "core/sys.h"

namespace overlayd {
namespace {

bool is_absence(int errnum) { return errnum == ENOENT || errnum == ENOTDIR; }

// errno first; then the kernel's explanation, if it left one on the descriptor.
[[noreturn]] void throw_context_error(int fs_fd, std::string act) {
  const int errnum = errno;
  if (const std::string said = read_context_messages(fs_fd); !said.empty()) act += ": " + said;
  throw SysError(errnum, act);
}

// Which mount `path` is on, as fdinfo tells it since Linux 3.15.
std::string mount_id(int dirfd, const std::string& path) {
  const UniqueFd fd = sys::openat(dirfd, path, O_PATH | O_NOFOLLOW);
  const std::string info =
      sys::read_file(AT_FDCWD, "/proc/self/fdinfo/" + std::to_string(fd.get()), 4096);
  const size_t start = info.find("mnt_id:");
  if (start == std::string::npos) throw Error(ErrorKind::Unsupported, "fdinfo shows no mnt_id");
  return info.substr(start, info.find('\n', start) - start);
}

// For kernels before 5.8: a mount point is on another mount than its parent.
bool differs_from_parent(int dirfd, const std::string& path, mode_t mode) {
  if (!S_ISDIR(mode)) throw Error(ErrorKind::Unsupported, "only directories can be asked here");
  return mount_id(dirfd, path) != mount_id(dirfd, path + "/..");
}

bool is_pid(const std::string& name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return std::isdigit(static_cast<unsigned char>(c)) != 0;
  });
}

dev_t device_of(const struct statx& info) {
  return makedev(info.stx_dev_major, info.stx_dev_minor);
}

/// The pids of the kernel's own threads, which have the root directory of the first process. They
/// may be most of what /proc lists, and a look at each costs more than all their names. Empty where
/// that cannot be known: in a PID namespace, or without CONFIG_PROC_CHILDREN.
std::unordered_set<std::string> kernel_threads() {
  constexpr size_t kMost = 1 << 20;
  // Pid, name, state and parent: whoever is 2 and has no parent is kthreadd (proc(5)).
  static const bool is_first = [] {
    const auto stat = sys::try_read_file(AT_FDCWD, "/proc/2/stat", kMost).value_or("");
    return stat.starts_with("2 (kthreadd) S 0 ");
  }();
  std::unordered_set<std::string> pids;
  if (!is_first) return pids;
  std::istringstream children(
      sys::try_read_file(AT_FDCWD, "/proc/2/task/2/children", kMost).value_or(""));
  for (std::string pid; children >> pid;) pids.insert(pid);
  return pids;
}

bool is_rooted_in(int proc, const std::string& pid, dev_t filesystem,
                  std::optional<ino_t> directory) {
  struct statx info {};
  // DONT_SYNC: another process' root may be on a network file system that does not answer.
  constexpr int kFlags = AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT;
  if (::statx(proc, (pid + "/root").c_str(), kFlags, STATX_INO, &info) != 0) {
    // Gone, a zombie (both ENOENT or ESRCH), not ours to see (EACCES, EPERM), or a dead file
    // system. Want of memory says nothing.
    if (errno == ENOMEM) throw_errno("look at the root directory of process", pid);
    return false;
  }
  return device_of(info) == filesystem && (!directory || info.stx_ino == *directory);
}

}  // namespace

void DetachedMount::attach(int dirfd, const std::string& path) {
  if (::move_mount(fd_.get(), "", dirfd, path.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    throw_errno("attach a mount to", path);
  }
}

FsContext::FsContext(const std::string& fs_type) : fd_(::fsopen(fs_type.c_str(), FSOPEN_CLOEXEC)) {
  if (!fd_) throw_errno("open file system type", fs_type);
}

void FsContext::set_string(const std::string& key, const std::string& value) {
  if (::fsconfig(fd_.get(), FSCONFIG_SET_STRING, key.c_str(), value.c_str(), 0) != 0) {
    throw_context_error(fd_.get(), "set " + key + " to " + quoted(value));
  }
}

void FsContext::set_fd(const std::string& key, int value) {
  if (::fsconfig(fd_.get(), FSCONFIG_SET_FD, key.c_str(), nullptr, value) != 0) {
    throw_context_error(fd_.get(), "set " + key + " to an open directory");
  }
}

DetachedMount FsContext::create() {
  if (::fsconfig(fd_.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    // Most refusals at this point go to the kernel log alone.
    throw_context_error(fd_.get(), "make the file system (the kernel log may say more)");
  }
  UniqueFd mount(::fsmount(fd_.get(), FSMOUNT_CLOEXEC, 0));
  if (!mount) throw_context_error(fd_.get(), "make a mount");
  return DetachedMount(std::move(mount));
}

std::string read_context_messages(int fs_fd) {
  std::string all;
  char buffer[1024];
  // One message a read, "<level> <text>", ENODATA when there is none left.
  // Documentation/filesystems/ mount_api.rst: levels e, w and i.
  for (;;) {
    const ssize_t length = ::read(fs_fd, buffer, sizeof buffer);
    if (length < 0 && errno == EINTR) continue;
    if (length <= 0) return all;
    std::string_view message(buffer, static_cast<size_t>(length));
    while (message.ends_with('\n')) message.remove_suffix(1);
    if (!message.starts_with("e ")) continue;
    if (!all.empty()) all += "; ";
    all += message.substr(2);
  }
}

DetachedMount clone_read_only(int dirfd) {
  UniqueFd fd(::open_tree(dirfd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (!fd) throw_errno([] { return std::string("clone a directory's mount"); });
  struct mount_attr attributes {};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  // A clone would stay in the peer group of what it was cloned from.
  attributes.propagation = MS_PRIVATE;
  if (::mount_setattr(fd.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0) {
    throw_errno([] { return std::string("make a mount read-only"); });
  }
  return DetachedMount(std::move(fd));
}

void mount_classic(const std::string& source, const std::string& target, const char* fs_type,
                   unsigned long flags, const std::string& options) {
  if (::mount(source.c_str(), target.c_str(), fs_type, flags, options.c_str()) != 0) {
    throw_errno([] { return std::string("mount(2) (the kernel log may say more)"); });
  }
}

bool is_mount_point(int dirfd, const std::string& path) {
  struct statx info {};
  constexpr int kFlags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;
  if (::statx(dirfd, path.c_str(), kFlags, STATX_TYPE, &info) != 0) {
    if (is_absence(errno)) return false;
    throw_errno("stat", path);
  }
  // Linux 5.8.
  if ((info.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) != 0) {
    return (info.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
  }
  return differs_from_parent(dirfd, path, info.stx_mode);
}

bool unmount_lazily(int dirfd, const std::string& path) {
  const std::string full = path.starts_with('/') ? path : sys::fd_path(dirfd) + "/" + path;
  if (::umount2(full.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) return true;
  const int errnum = errno;
  if (is_absence(errnum)) return false;
  // EINVAL: not a mount point, or a mount that this user namespace must not take away.
  if (errnum == EINVAL && !is_mount_point(dirfd, path)) return false;
  throw SysError(errnum, "unmount " + quoted(path));
}

void run_in_directory(int dirfd, const std::function<void()>& work) {
  // Nothing to do if no other thread shares it any more.
  if (::unshare(CLONE_FS) != 0) {
    throw_errno([] { return std::string("unshare the current directory"); });
  }
  const UniqueFd before = sys::open_path_dir(AT_FDCWD, ".");
  if (::fchdir(dirfd) != 0) throw_errno([] { return std::string("enter a directory"); });
  const ScopeExit back([&] {
    // It was there a moment ago. A thread that stays is in nobody's way.
    [[maybe_unused]] const int result = ::fchdir(before.get());
  });
  work();
}

bool any_process_rooted_in(dev_t filesystem, std::optional<ino_t> directory) {
  const UniqueFd proc = sys::open_directory(AT_FDCWD, "/proc");
  std::unordered_set<std::string> others = kernel_threads();
  others.insert(std::to_string(::getpid()));
  for (const sys::DirEntry& entry : sys::list_fresh_directory(proc.get(), sys::Order::AsStored)) {
    if (!is_pid(entry.name) || others.contains(entry.name)) continue;
    if (is_rooted_in(proc.get(), entry.name, filesystem, directory)) return true;
  }
  return false;
}

}  // namespace overlayd
