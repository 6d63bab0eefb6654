// SPDX-License-Identifier: Apache-2.0
#include "core/attributes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "core/acl.h"
#include "core/error.h"

namespace overlayd {
namespace {

void set_xattr(xattr::At object, const std::string& name, const std::string& value) {
  try {
    xattr::set(object, name.c_str(), value);
  } catch (const SysError& error) {
    if (error.errnum() == EPERM) return;  // user.* on anything but files and directories
    if (error.errnum() == EACCES && name == acl::kDefaultXattr) {
      throw Error(ErrorKind::BadArchive, "a default ACL on what is no directory");
    }
    throw;
  }
}

void set_mode(xattr::At object, mode_t mode) {
  const std::string name(object.name);
  const int result =
      name.empty() ? ::fchmod(object.dirfd, mode) : ::fchmodat(object.dirfd, name.c_str(), mode, 0);
  if (result != 0) throw_errno([&] { return "set the mode of " + describe(object); });
}

}  // namespace

// Owner first: chown clears set-id bits and capabilities.
void set_attributes(xattr::At object, const Attributes& attributes) {
  if (attributes.owner) set_owner(object, *attributes.owner);
  if (attributes.has_foreign_acls) {
    xattr::remove(object, acl::kAccessXattr);
    xattr::remove(object, acl::kDefaultXattr);
  }
  for (const auto& [name, value] : attributes.xattrs) set_xattr(object, name, value);
  if (attributes.mode) set_mode(object, *attributes.mode);
}

void set_owner(xattr::At object, const Owner& owner) {
  const std::string name(object.name);
  constexpr int kFlags = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH;
  if (::fchownat(object.dirfd, name.c_str(), owner.uid, owner.gid, kFlags) == 0) return;
  throw_errno([&] {
    return "set owner " + std::to_string(owner.uid) + ":" + std::to_string(owner.gid) + " of " +
           describe(object);
  });
}

}  // namespace overlayd
