// SPDX-License-Identifier: Apache-2.0
#include "core/capability.h"

#include <linux/capability.h>

namespace overlayd::capability {
namespace {

static_assert(XATTR_CAPS_SZ_2 == 20 && XATTR_CAPS_SZ_3 == 24);

// All fields are little-endian whatever the machine; the revision is in the top byte of the first.
uint8_t revision(std::string_view value) { return static_cast<uint8_t>(value[3]); }
constexpr char kRevision2 = VFS_CAP_REVISION_2 >> VFS_CAP_REVISION_SHIFT;
constexpr char kRevision3 = VFS_CAP_REVISION_3 >> VFS_CAP_REVISION_SHIFT;

}  // namespace

std::string for_tar(std::string_view value) {
  std::string out(value);
  if (value.size() == XATTR_CAPS_SZ_3 && revision(value) == kRevision3) {
    out.resize(XATTR_CAPS_SZ_2);
    out[3] = kRevision2;
  }
  return out;
}

std::string for_disk(std::string_view value, uint32_t root_uid) {
  std::string out(value);
  if (root_uid != 0 && value.size() == XATTR_CAPS_SZ_2 && revision(value) == kRevision2) {
    out[3] = kRevision3;
    for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(root_uid >> shift);
  }
  return out;
}

}  // namespace overlayd::capability
