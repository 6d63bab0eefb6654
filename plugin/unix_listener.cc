// SPDX-License-Identifier: Apache-2.0
#include "plugin/unix_listener.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

#include "core/error.h"
#include "core/scope_exit.h"
#include "core/sys.h"
#include "plugin/directories.h"

namespace overlayd {
namespace {

UniqueFd unix_socket(int flags = 0) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
  if (!fd) throw_errno([] { return "make a socket"; });
  return fd;
}

// sun_path holds 108 bytes only; going through the directory's descriptor leaves them to the name.
sockaddr_un address_in(int dirfd, const std::string& name) {
  const std::string path = sys::fd_path(dirfd) + "/" + name;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path))
    throw Error(ErrorKind::InvalidArgument, "socket name " + quoted(name) + " is too long");
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

const sockaddr* generic(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

std::filesystem::path directory_of(const std::filesystem::path& path) {
  const auto parent = std::filesystem::absolute(path).parent_path();
  // The engine gives its own /run/docker this mode, and takes one that is there as it is.
  make_directories(parent, 0700);
  return parent;
}

}  // namespace

UnixListener::UnixListener(const std::filesystem::path& path)
    : dir_(sys::open_path_dir(AT_FDCWD, directory_of(path))),
      name_(path.filename()),
      shown_path_(path) {
  with_context("listen on " + overlayd::quoted(shown_path_), [&] {
    refuse_if_taken();
    bind_and_publish();
  });
}

UnixListener::~UnixListener() { close(); }

std::string UnixListener::temporary_name() const {
  return name_ + "." + std::to_string(::getpid());
}

void UnixListener::refuse_if_taken() const {
  const auto found = sys::try_fstatat(dir_.get(), name_);
  if (!found) return;
  if (!S_ISSOCK(found->st_mode))
    throw Error(ErrorKind::InvalidArgument, "something that is no socket is in the way");
  const UniqueFd probe = unix_socket(SOCK_NONBLOCK);
  const sockaddr_un address = address_in(dir_.get(), name_);
  const bool connected = ::connect(probe.get(), generic(address), sizeof(address)) == 0;
  // EAGAIN: somebody listens, but has a full queue.
  if (connected || errno == EAGAIN)
    throw Error(ErrorKind::Busy, "already served by another process");
  if (errno != ECONNREFUSED && errno != ENOENT) throw_errno("probe", name_);
}

// Bound and listening under another name first, so that at `name_` there is never a socket that
// refuses clients or has a looser mode.
void UnixListener::bind_and_publish() {
  const std::string temporary = temporary_name();
  sys::unlinkat(dir_.get(), temporary, 0);
  UniqueFd socket = unix_socket();
  const sockaddr_un address = address_in(dir_.get(), temporary);
  if (::bind(socket.get(), generic(address), sizeof(address)) != 0) throw_errno("bind", temporary);
  ScopeExit unbind([&] { ::unlinkat(dir_.get(), temporary.c_str(), 0); });
  if (::fchmodat(dir_.get(), temporary.c_str(), 0600, 0) != 0) throw_errno("chmod", temporary);
  if (::listen(socket.get(), kBacklog) != 0) throw_errno("listen on", temporary);
  inode_ = sys::fstatat(dir_.get(), temporary).st_ino;
  sys::renameat(dir_.get(), temporary, dir_.get(), name_);
  unbind.dismiss();
  socket_ = std::move(socket);
}

UniqueFd UnixListener::accept(int stop_fd) {
  return accept_client(socket_.get(), stop_fd, shown_path_);
}

bool UnixListener::still_ours() const {
  struct stat found {};
  return ::fstatat(dir_.get(), name_.c_str(), &found, AT_SYMLINK_NOFOLLOW) == 0 &&
         S_ISSOCK(found.st_mode) && found.st_ino == inode_;
}

void UnixListener::close() noexcept {
  if (!socket_) return;
  if (still_ours()) ::unlinkat(dir_.get(), name_.c_str(), 0);
  socket_.reset();
}

}  // namespace overlayd
