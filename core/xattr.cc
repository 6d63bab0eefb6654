// SPDX-License-Identifier: Apache-2.0
#include "core/xattr.h"

#include <sys/xattr.h>

#include <array>
#include <cerrno>

#include "core/error.h"
#include "core/sys.h"

namespace overlayd::xattr {
namespace {

// XATTR_SIZE_MAX: neither a value nor the list of names is ever longer.
constexpr size_t kMax = 64 * 1024;

std::string path_of(At file) {
  std::string path = sys::fd_path(file.dirfd);
  // The slash makes the kernel step through the magic link even for the l-calls.
  path += '/';
  path += file.name.empty() ? std::string_view(".") : file.name;
  return path;
}

// By the descriptor if it is one of the file itself, which is much quicker than by a path. An
// O_PATH descriptor will not do.
template <typename ByFd, typename ByPath>
auto call_on(At file, ByFd by_fd, ByPath by_path) {
  if (file.name.empty()) {
    const auto result = by_fd(file.dirfd);
    if (result >= 0 || errno != EBADF) return result;
  }
  return by_path(path_of(file).c_str());
}

bool has_none(int errnum) { return errnum == ENODATA || errnum == EOPNOTSUPP; }

[[noreturn]] void fail(const char* act, const char* attribute, At file) {
  throw_errno([&] { return std::string(act) + " " + quoted(attribute) + " of " + describe(file); });
}

// Calls `read` with a small buffer first, as nearly all values and lists are short, and hands what
// it read to `use`; false when it failed.
template <typename Read, typename Use>
bool read_growing(Read read, Use use) {
  std::array<char, 256> small;
  ssize_t length = read(small.data(), small.size());
  if (length >= 0) {
    use(std::string_view(small.data(), static_cast<size_t>(length)));
    return true;
  }
  if (errno != ERANGE) return false;
  std::string large(kMax, '\0');
  length = read(large.data(), large.size());
  if (length >= 0) use(std::string_view(large.data(), static_cast<size_t>(length)));
  return length >= 0;
}

}  // namespace

std::string describe(At file) { return file.name.empty() ? "it" : quoted(file.name); }

std::optional<std::string> get(At file, const char* attribute) {
  std::optional<std::string> value;
  const bool was_read = read_growing(
      [&](char* buffer, size_t size) {
        return call_on(
            file, [&](int fd) { return ::fgetxattr(fd, attribute, buffer, size); },
            [&](const char* path) { return ::lgetxattr(path, attribute, buffer, size); });
      },
      [&](std::string_view bytes) { value.emplace(bytes); });
  if (!was_read && !has_none(errno)) fail("read xattr", attribute, file);
  return value;
}

std::vector<std::string> list(At file) {
  std::vector<std::string> names;
  const bool was_read = read_growing(
      [&](char* buffer, size_t size) {
        return call_on(
            file, [&](int fd) { return ::flistxattr(fd, buffer, size); },
            [&](const char* path) { return ::llistxattr(path, buffer, size); });
      },
      [&](std::string_view packed) {
        while (!packed.empty()) {
          names.emplace_back(packed.substr(0, packed.find('\0')));
          packed.remove_prefix(names.back().size() + 1);
        }
      });
  if (!was_read && !has_none(errno)) fail("list", "xattrs", file);
  return names;
}

void set(At file, const char* attribute, std::string_view value) {
  const int result = call_on(
      file, [&](int fd) { return ::fsetxattr(fd, attribute, value.data(), value.size(), 0); },
      [&](const char* path) {
        return ::lsetxattr(path, attribute, value.data(), value.size(), 0);
      });
  if (result != 0) fail("set xattr", attribute, file);
}

void remove(At file, const char* attribute) {
  const int result = call_on(
      file, [&](int fd) { return ::fremovexattr(fd, attribute); },
      [&](const char* path) { return ::lremovexattr(path, attribute); });
  if (result != 0 && !has_none(errno)) fail("remove xattr", attribute, file);
}

}  // namespace overlayd::xattr
