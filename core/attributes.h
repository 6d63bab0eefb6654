// SPDX-License-Identifier: Apache-2.0
//
// Attributes: what an object that was just made still lacks to be as a tar says: owner, extended
// attributes, mode. Any thread.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/xattr.h"

namespace overlayd {

struct Owner {
  uid_t uid;
  gid_t gid;
};

/// What is not named is right already: each call costs the file system an update of the inode.
struct Attributes {
  std::optional<Owner> owner;
  bool has_foreign_acls = false;                                 ///< from the directory around it
  std::vector<std::pair<std::string, std::string>> xattrs = {};  ///< as they are on disk
  std::optional<mode_t> mode;
};

/// Never follows a symlink in the last component. user.* xattrs where no file system holds them are
/// passed over, as Docker does. Throws SysError, and Error(BadArchive) for a default ACL on what is
/// no directory.
void set_attributes(xattr::At object, const Attributes& attributes);

void set_owner(xattr::At object, const Owner& owner);

}  // namespace overlayd
