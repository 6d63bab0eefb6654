// SPDX-License-Identifier: Apache-2.0
#include "plugin/service_manager.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

#include "core/error.h"
#include "core/sys.h"

namespace overlayd {
namespace {

struct Address {
  sockaddr_un name{};
  socklen_t size = 0;
};

// A path, or behind '@' a name in the abstract namespace, which is as long as the address says and
// has a null byte where the '@' is.
Address address_of(const std::string& text) {
  Address address;
  address.name.sun_family = AF_UNIX;
  const bool abstract = text.front() == '@';
  if ((!abstract && text.front() != '/') || text.size() >= sizeof(address.name.sun_path))
    throw Error(ErrorKind::InvalidArgument, "NOTIFY_SOCKET names no socket: " + quoted(text));
  std::memcpy(address.name.sun_path, text.c_str(), text.size() + 1);
  address.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + text.size());
  if (abstract) {
    address.name.sun_path[0] = '\0';
  } else {
    address.size++;
  }
  return address;
}

}  // namespace

void tell_service_manager(std::string_view state) {
  const char* named = std::getenv("NOTIFY_SOCKET");
  if (named == nullptr || *named == '\0') return;
  const Address address = address_of(named);
  const UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto send = [&] {
    return ::sendto(socket.get(), state.data(), state.size(), MSG_NOSIGNAL,
                    reinterpret_cast<const sockaddr*>(&address.name), address.size);
  };
  if (!socket || sys::retry_eintr(send) < 0) throw_errno("tell the service manager at", named);
}

bool is_journal(int fd) {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat info {};
  if (stream == nullptr || ::fstat(fd, &info) != 0) return false;
  return stream == std::to_string(info.st_dev) + ":" + std::to_string(info.st_ino);
}

}  // namespace overlayd
