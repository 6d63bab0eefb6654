// SPDX-License-Identifier: Apache-2.0
#include "core/tar_blame.h"

#include <cerrno>

namespace overlayd {

std::string to_string(const TarMember& member) {
  return "entry " + quoted(member.name) + " at offset " + std::to_string(member.offset);
}

bool tells_of_tar(int errnum) noexcept {
  switch (errnum) {
    case ENAMETOOLONG:
    case ENOTDIR:
    case EISDIR:
    case EFBIG:
    case ELOOP:
    case EINVAL:
    case ERANGE:  // the name of an xattr is too long
    case E2BIG:   // or its value
      return true;
    default: return false;
  }
}

}  // namespace overlayd
