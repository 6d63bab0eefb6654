// SPDX-License-Identifier: Apache-2.0
#include "core/sys.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/random.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <limits>
#include <memory>
#include <thread>

#include "core/error.h"
#include "core/scope_exit.h"

namespace overlayd::sys {
namespace {

bool is_absence(int errnum) { return errnum == ENOENT || errnum == ENOTDIR; }

// A directory that may be listed, from any descriptor of it, without crossing into another mount.
UniqueFd reopen_for_listing(int dirfd) {
  UniqueFd fd(
      retry_eintr([&] { return ::openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
  if (!fd) throw_errno([] { return std::string("open a directory for listing"); });
  return fd;
}

}  // namespace

UniqueFd openat(int dirfd, const std::string& path, int flags, mode_t mode) {
  UniqueFd fd(retry_eintr([&] { return ::openat(dirfd, path.c_str(), flags | O_CLOEXEC, mode); }));
  if (!fd) throw_errno("open", path);
  return fd;
}

UniqueFd try_openat(int dirfd, const std::string& path, int flags) {
  UniqueFd fd(retry_eintr([&] { return ::openat(dirfd, path.c_str(), flags | O_CLOEXEC); }));
  if (!fd && !is_absence(errno)) throw_errno("open", path);
  return fd;
}

UniqueFd open_directory(int dirfd, const std::string& path) {
  return openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

UniqueFd open_path_dir(int dirfd, const std::string& path) {
  return openat(dirfd, path, O_PATH | O_DIRECTORY);
}

bool mkdirat(int dirfd, const std::string& path, mode_t mode) {
  if (::mkdirat(dirfd, path.c_str(), mode) != 0) {
    if (errno == EEXIST) return false;
    throw_errno("make directory", path);
  }
  ScopeExit unmake([&] { ::unlinkat(dirfd, path.c_str(), AT_REMOVEDIR); });
  // The umask may have taken bits away, mkdir ignores set-id bits, and a parent may hand some down.
  // Looking costs less than a change of the inode, which goes through the journal.
  const bool is_right = (fstatat(dirfd, path).st_mode & 07777) == mode;
  if (!is_right && ::fchmodat(dirfd, path.c_str(), mode, 0) != 0) {
    throw_errno("set the mode of", path);
  }
  unmake.dismiss();
  return true;
}

void symlinkat(const std::string& target, int dirfd, const std::string& path) {
  if (::symlinkat(target.c_str(), dirfd, path.c_str()) != 0) throw_errno("make symlink", path);
}

void renameat(int old_dirfd, const std::string& old_path, int new_dirfd,
              const std::string& new_path, unsigned flags) {
  if (::renameat2(old_dirfd, old_path.c_str(), new_dirfd, new_path.c_str(), flags) != 0) {
    throw_errno([&] { return "rename " + quoted(old_path) + " to " + quoted(new_path); });
  }
}

bool unlinkat(int dirfd, const std::string& path, int flags) {
  if (::unlinkat(dirfd, path.c_str(), flags) == 0) return true;
  if (is_absence(errno)) return false;
  throw_errno("remove", path);
}

struct stat fstat(int fd) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) throw_errno([] { return std::string("stat an open file"); });
  return info;
}

struct stat fstatat(int dirfd, const std::string& path, int flags) {
  struct stat info {};
  if (::fstatat(dirfd, path.c_str(), &info, flags) != 0) throw_errno("stat", path);
  return info;
}

std::optional<struct stat> try_fstatat(int dirfd, const std::string& path, int flags) {
  struct stat info {};
  if (::fstatat(dirfd, path.c_str(), &info, flags) == 0) return info;
  if (is_absence(errno)) return std::nullopt;
  throw_errno("stat", path);
}

std::optional<std::string> try_readlinkat(int dirfd, const std::string& path) {
  std::string target(256, '\0');
  for (;;) {
    const ssize_t length = ::readlinkat(dirfd, path.c_str(), target.data(), target.size());
    if (length < 0) {
      if (is_absence(errno)) return std::nullopt;
      throw_errno("read symlink", path);
    }
    if (static_cast<size_t>(length) < target.size()) {
      target.resize(static_cast<size_t>(length));
      return target;
    }
    target.resize(target.size() * 4);
  }
}

std::string readlinkat(int dirfd, const std::string& path) {
  if (auto target = try_readlinkat(dirfd, path)) return *std::move(target);
  throw SysError(ENOENT, "read symlink " + quoted(path));
}

void fchown(int fd, uid_t uid, gid_t gid) {
  if (::fchown(fd, uid, gid) != 0) {
    throw_errno([&] {
      return "set owner " + std::to_string(uid) + ":" + std::to_string(gid) + " of an open file";
    });
  }
}

void fchmod(int fd, mode_t mode) {
  if (::fchmod(fd, mode) != 0)
    throw_errno([] { return std::string("set the mode of an open file"); });
}

size_t read_some(int fd, std::span<std::byte> buffer) {
  const ssize_t count = retry_eintr([&] { return ::read(fd, buffer.data(), buffer.size()); });
  if (count < 0) throw_errno([] { return std::string("read"); });
  return static_cast<size_t>(count);
}

size_t read_full(int fd, std::span<std::byte> buffer) {
  size_t done = 0;
  while (done < buffer.size()) {
    const size_t count = read_some(fd, buffer.subspan(done));
    if (count == 0) break;
    done += count;
  }
  return done;
}

void write_full(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = retry_eintr([&] { return ::write(fd, bytes.data(), bytes.size()); });
    if (count < 0) throw_errno([] { return std::string("write"); });
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
}

std::optional<std::string> try_read_file(int dirfd, const std::string& path, size_t limit) {
  const UniqueFd fd = try_openat(dirfd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!fd) return std::nullopt;
  // Through a piece on the stack: a string of `limit` bytes would keep them all.
  std::string content;
  std::array<char, 4096> piece;
  size_t length = 0;
  do {
    const size_t wanted = std::min(piece.size(), limit + 1 - content.size());
    length = with_context([&] { return "read " + quoted(path); },
                          [&] {
                            return read_full(
                                fd.get(), std::as_writable_bytes(std::span(piece.data(), wanted)));
                          });
    content.append(piece.data(), length);
  } while (length == piece.size());
  if (content.size() > limit) {
    throw Error(ErrorKind::Corrupt,
                quoted(path) + " is longer than " + std::to_string(limit) + " bytes");
  }
  return content;
}

std::string read_file(int dirfd, const std::string& path, size_t limit) {
  if (auto content = try_read_file(dirfd, path, limit)) return *std::move(content);
  throw SysError(ENOENT, "read " + quoted(path));
}

void write_file_atomically(int dirfd, const std::string& path, std::string_view content,
                           mode_t mode) {
  const std::string temporary = path + kUnfinished;
  ScopeExit undo([&] { ::unlinkat(dirfd, temporary.c_str(), 0); });
  {
    const UniqueFd fd = openat(dirfd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode);
    fchmod(fd.get(), mode);
    with_context("write " + quoted(temporary), [&] {
      write_full(fd.get(), std::as_bytes(std::span(content.data(), content.size())));
    });
  }
  renameat(dirfd, temporary, dirfd, path);
  undo.dismiss();
}

std::vector<DirEntry> list_directory(int dirfd, Order order) {
  if (::lseek(dirfd, 0, SEEK_SET) == 0) return list_fresh_directory(dirfd, order);
  return list_fresh_directory(reopen_for_listing(dirfd).get(), order);
}

std::vector<DirEntry> list_fresh_directory(int dirfd, Order order) {
  std::vector<DirEntry> entries;
  alignas(dirent64) std::array<char, 32 * 1024> buffer;
  // Behind the last of all positions is nothing, and need not be asked for. ext4 says that it is
  // there when it has given everything.
  constexpr off64_t kLastPosition = std::numeric_limits<off64_t>::max();
  for (off64_t position = 0; position != kLastPosition;) {
    const ssize_t length = ::getdents64(dirfd, buffer.data(), buffer.size());
    if (length == 0 || (length < 0 && errno == ENOENT)) break;
    if (length < 0) throw_errno([] { return std::string("list a directory"); });
    for (const char* at = buffer.data(); at < buffer.data() + length;) {
      const auto* const entry = reinterpret_cast<const dirent64*>(at);
      at += entry->d_reclen;
      position = entry->d_off;
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") entries.push_back({std::string(name), entry->d_type});
    }
  }
  if (order == Order::ByName) std::ranges::sort(entries, {}, &DirEntry::name);
  return entries;
}

namespace {

// Opens a directory one step below dirfd; EXDEV when it is a mount point, ELOOP/ENOTDIR when it is
// not a directory.
UniqueFd open_step_for_removal(int dirfd, const std::string& name) {
  open_how how{};
  how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS;
  return UniqueFd(static_cast<int>(
      retry_eintr([&] { return ::syscall(SYS_openat2, dirfd, name.c_str(), &how, sizeof how); })));
}

// Depth is the stranger's choice, stack and descriptors are ours: what lies deeper than this is
// moved up into the tree's first directory, and goes from there.
constexpr int kMaxRemovalDepth = 100;

class TreeRemover {
 public:
  explicit TreeRemover(const std::function<bool()>& keep_going) : keep_going_(keep_going) {}

  bool remove(int dirfd, const std::string& name, int depth = 0) {
    if (keep_going_ && !keep_going_()) {
      stopped_ = true;
      return true;
    }
    if (::unlinkat(dirfd, name.c_str(), 0) == 0) return true;
    if (errno == ENOENT) return false;
    // EISDIR is Linux's answer for a directory, EPERM POSIX's.
    if (errno != EISDIR && errno != EPERM) throw_errno("remove", name);
    remove_directory(dirfd, name, depth);
    return true;
  }

  // What stood in the way of emptying everything, if anything did.
  int blocked() const { return blocked_; }

 private:
  void remove_directory(int dirfd, const std::string& name, int depth) {
    if (::unlinkat(dirfd, name.c_str(), AT_REMOVEDIR) == 0) return;  // empty already
    if (depth == kMaxRemovalDepth && move_up(dirfd, name)) return;
    const UniqueFd fd = open_step_for_removal(dirfd, name);
    if (!fd) {
      if (errno == ENOENT) return;
      if (errno == EXDEV) {
        blocked_ = EBUSY;
        return;
      }
      throw_errno("open", name);
    }
    if (depth == 0) first_ = fd.get();
    do {
      if (depth == 0) moved_ = false;  // further in, it would undo what a neighbour said
      empty(fd.get(), depth);
    } while (depth == 0 && moved_);
    if (stopped_ || ::unlinkat(dirfd, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return;
    if (errno != EBUSY && !(errno == ENOTEMPTY && blocked_ != 0)) throw_errno("remove", name);
    blocked_ = EBUSY;
  }

  void empty(int fd, int depth) {
    for (const DirEntry& entry : list_directory(fd)) {
      if (stopped_) return;
      remove(fd, entry.name, depth + 1);
    }
  }

  // False for a mount point, and for what no longer is there.
  bool move_up(int dirfd, const std::string& name) {
    for (;; ++moves_) {
      const std::string free = "moved-" + std::to_string(moves_);
      if (::renameat2(dirfd, name.c_str(), first_, free.c_str(), RENAME_NOREPLACE) == 0) break;
      if (errno != EEXIST) return false;
    }
    return moved_ = true;
  }

  const std::function<bool()>& keep_going_;
  int first_ = -1;      // the directory that is to be removed, while it is being emptied
  bool moved_ = false;  // something has come into it since it was listed
  size_t moves_ = 0;
  bool stopped_ = false;
  int blocked_ = 0;
};

}  // namespace

bool remove_tree(int dirfd, const std::string& path, const std::function<bool()>& keep_going) {
  // The way to the tree is the caller's and resolved as usual; only the tree itself is not trusted.
  const size_t slash = path.rfind('/');
  UniqueFd parent;
  if (slash != std::string::npos) {
    parent = try_openat(dirfd, path.substr(0, slash + 1), O_PATH | O_DIRECTORY);
    if (!parent) return false;
  }
  TreeRemover remover(keep_going);
  const bool existed =
      parent ? remover.remove(parent.get(), path.substr(slash + 1)) : remover.remove(dirfd, path);
  if (remover.blocked() != 0) {
    throw SysError(remover.blocked(), "remove " + quoted(path) + ", which holds a mount point");
  }
  return existed;
}

void run_in_own_thread(const std::function<void()>& work) {
  std::exception_ptr failure;
  const auto run = [&] {
    try {
      work();
    } catch (...) {
      failure = std::current_exception();
    }
  };
  starting_thread([&] { return std::thread(run); }).join();
  if (failure) std::rethrow_exception(failure);
}

std::string fd_path(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

std::vector<std::byte> random_bytes(size_t count) {
  std::vector<std::byte> bytes(count);
  size_t done = 0;
  while (done < count) {
    const ssize_t got =
        retry_eintr([&] { return ::getrandom(bytes.data() + done, count - done, 0); });
    if (got < 0) throw_errno([] { return std::string("read random bytes"); });
    done += static_cast<size_t>(got);
  }
  return bytes;
}

}  // namespace overlayd::sys
