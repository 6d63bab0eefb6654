// SPDX-License-Identifier: Apache-2.0
//
// Extended attributes by directory descriptor and name, never through a symlink in the last
// component. Linux has no *at form of these calls before 6.13, so paths go through /proc/self/fd.
// Any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace overlayd::xattr {

/// A file below an open directory; an empty name is what `dirfd` itself is open on, which may then
/// be a file as well.
struct At {
  int dirfd;
  std::string_view name;
};

/// For messages, in which something around it names what `dirfd` is open on.
std::string describe(At file);

/// nullopt: no such attribute, or the file system has none.
std::optional<std::string> get(At file, const char* attribute);
/// Names; empty where the file system has no attributes.
std::vector<std::string> list(At file);
void set(At file, const char* attribute, std::string_view value);
void remove(At file, const char* attribute);

}  // namespace overlayd::xattr
