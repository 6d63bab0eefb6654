// SPDX-License-Identifier: Apache-2.0
//
// Thin wrappers of system calls: the man page's name and order, a descriptor before a path, owners
// returned, O_CLOEXEC built in, EINTR retried, a SysError that names act and object on failure.
// Where absence is normal there is a try_ twin that returns an empty value for ENOENT and ENOTDIR.
// Paths given here are resolved the ordinary way; what must not leave a directory is
// core/beneath.h.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <cerrno>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "core/error.h"
#include "core/unique_fd.h"

namespace overlayd::sys {

/// Makes `call` until it is not interrupted. close(2) is not for this.
template <typename Call>
auto retry_eintr(Call call) {
  decltype(call()) result;
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return result;
}

/// What `start` returns, which starts a thread. Throws SysError when there can be no more.
template <typename Start>
auto starting_thread(Start start) {
  try {
    return start();
  } catch (const std::system_error& error) {
    throw SysError(error.code().value(), "start a thread");
  }
}

UniqueFd openat(int dirfd, const std::string& path, int flags, mode_t mode = 0);
/// An empty owner when there is no such file.
UniqueFd try_openat(int dirfd, const std::string& path, int flags);
/// A directory to read and to work in, never through a symlink in the last component.
UniqueFd open_directory(int dirfd, const std::string& path);
/// A handle on a directory itself, for use as dirfd and for fstat; not readable.
UniqueFd open_path_dir(int dirfd, const std::string& path);

/// True: made. False: something of that name exists. The mode is set exactly, whatever the umask.
bool mkdirat(int dirfd, const std::string& path, mode_t mode);
void symlinkat(const std::string& target, int dirfd, const std::string& path);
/// flags: 0 or RENAME_NOREPLACE / RENAME_EXCHANGE.
void renameat(int old_dirfd, const std::string& old_path, int new_dirfd,
              const std::string& new_path, unsigned flags = 0);
/// False when there was nothing to remove. flags: 0 or AT_REMOVEDIR.
bool unlinkat(int dirfd, const std::string& path, int flags);

struct stat fstat(int fd);
struct stat fstatat(int dirfd, const std::string& path, int flags = AT_SYMLINK_NOFOLLOW);
std::optional<struct stat> try_fstatat(int dirfd, const std::string& path,
                                       int flags = AT_SYMLINK_NOFOLLOW);
std::string readlinkat(int dirfd, const std::string& path);
std::optional<std::string> try_readlinkat(int dirfd, const std::string& path);

void fchown(int fd, uid_t uid, gid_t gid);
void fchmod(int fd, mode_t mode);

/// What one read gives, up to buffer.size() bytes; 0 at the end of the file.
size_t read_some(int fd, std::span<std::byte> buffer);
/// Up to buffer.size() bytes; short only at the end of the file.
size_t read_full(int fd, std::span<std::byte> buffer);
void write_full(int fd, std::span<const std::byte> bytes);

/// The whole of a small file; Error(Corrupt) when it is longer than `limit` bytes.
std::string read_file(int dirfd, const std::string& path, size_t limit);
std::optional<std::string> try_read_file(int dirfd, const std::string& path, size_t limit);

/// Writes `content` beside `path`, then renames it into place: a reader sees the old or the new
/// content, never part of one. Not synced. A kill may leave `path` with kUnfinished behind it.
inline constexpr char kUnfinished[] = ".new";
void write_file_atomically(int dirfd, const std::string& path, std::string_view content,
                           mode_t mode);

struct DirEntry {
  std::string name;
  unsigned char type;  ///< DT_*; DT_UNKNOWN where the file system does not say
};
enum class Order { ByName, AsStored };
/// All entries but "." and "..", sorted by the bytes of their names if at all; none when the
/// directory was removed meanwhile. `dirfd` may be O_PATH; if not, its file position moves, so no
/// two threads may list one descriptor.
std::vector<DirEntry> list_directory(int dirfd, Order order = Order::ByName);
/// The same, of a descriptor opened for reading that nothing was read from before.
std::vector<DirEntry> list_fresh_directory(int dirfd, Order order = Order::ByName);

/// Deletes `path` below dirfd with all it holds. Never follows symlinks and never enters another
/// mount: a mount point below is left alone and makes this throw EBUSY after the rest is gone.
/// Needs no more stack and descriptors however deep it is. False when there was nothing.
/// `keep_going` is asked before everything that is removed; false stops early.
bool remove_tree(int dirfd, const std::string& path, const std::function<bool()>& keep_going = {});

/// Runs `work` in a thread of its own and waits for it; an exception leaving it is rethrown here.
/// For system calls that change the calling thread for good (unshare, Landlock, capabilities).
void run_in_own_thread(const std::function<void()>& work);

/// "/proc/self/fd/N": a path for system calls that take only paths.
std::string fd_path(int fd);

/// `count` bytes from the kernel's random source.
std::vector<std::byte> random_bytes(size_t count);

}  // namespace overlayd::sys
