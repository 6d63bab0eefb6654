// SPDX-License-Identifier: Apache-2.0
#include "core/xattr.h"

#include <sys/xattr.h>

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

bool has_none(int errnum) { return errnum == ENODATA || errnum == EOPNOTSUPP; }

[[noreturn]] void fail(const char* act, const char* attribute, At file) {
  throw_errno(
      [&] { return std::string(act) + " " + quoted(attribute) + " of " + quoted(file.name); });
}

// Calls with a small buffer first: nearly all values and lists are short.
template <typename Call>
std::optional<std::string> read_growing(Call call) {
  for (std::string buffer(256, '\0');; buffer.resize(kMax)) {
    const ssize_t length = call(buffer.data(), buffer.size());
    if (length >= 0) {
      buffer.resize(static_cast<size_t>(length));
      return buffer;
    }
    if (errno != ERANGE || buffer.size() == kMax) return std::nullopt;
  }
}

}  // namespace

std::optional<std::string> get(At file, const char* attribute) {
  const std::string path = path_of(file);
  auto value = read_growing([&](char* buffer, size_t size) {
    return ::lgetxattr(path.c_str(), attribute, buffer, size);
  });
  if (!value && !has_none(errno)) fail("read xattr", attribute, file);
  return value;
}

std::vector<std::string> list(At file) {
  const std::string path = path_of(file);
  const auto packed = read_growing(
      [&](char* buffer, size_t size) { return ::llistxattr(path.c_str(), buffer, size); });
  if (!packed) {
    if (has_none(errno)) return {};
    fail("list", "xattrs", file);
  }
  std::vector<std::string> names;
  for (size_t start = 0; start < packed->size();) {
    names.emplace_back(packed->c_str() + start);
    start += names.back().size() + 1;
  }
  return names;
}

void set(At file, const char* attribute, std::string_view value) {
  if (::lsetxattr(path_of(file).c_str(), attribute, value.data(), value.size(), 0) != 0) {
    fail("set xattr", attribute, file);
  }
}

void remove(At file, const char* attribute) {
  if (::lremovexattr(path_of(file).c_str(), attribute) != 0 && !has_none(errno)) {
    fail("remove xattr", attribute, file);
  }
}

}  // namespace overlayd::xattr
