// SPDX-License-Identifier: Apache-2.0
#include "core/acl.h"

#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>

#include <cstdint>
#include <optional>

#include "core/error.h"

namespace overlayd::acl {
namespace {

constexpr size_t kHeaderSize = sizeof(posix_acl_xattr_header);
constexpr size_t kEntrySize = sizeof(posix_acl_xattr_entry);
constexpr size_t kIdOffset = offsetof(posix_acl_xattr_entry, e_id);
static_assert(kHeaderSize == 4 && kEntrySize == 8 && kIdOffset == 4);

uint32_t load(std::string_view bytes, size_t offset, size_t width) {
  uint32_t value = 0;
  for (size_t i = 0; i < width; ++i) {
    value |= uint32_t{static_cast<unsigned char>(bytes[offset + i])} << (8 * i);
  }
  return value;
}

void store(std::string& bytes, size_t offset, uint32_t value) {
  for (size_t i = 0; i < 4; ++i) bytes[offset + i] = static_cast<char>(value >> (8 * i));
}

template <typename Translate>
std::string translated(std::string_view value, const IdMaps& maps, Translate translate) {
  if (value.size() < kHeaderSize || (value.size() - kHeaderSize) % kEntrySize != 0 ||
      load(value, 0, kHeaderSize) != POSIX_ACL_XATTR_VERSION) {
    throw Error(ErrorKind::InvalidArgument, "an ACL that cannot be read");
  }
  std::string out(value);
  for (size_t entry = kHeaderSize; entry < out.size(); entry += kEntrySize) {
    const uint32_t tag = load(out, entry, 2);
    if (tag != ACL_USER && tag != ACL_GROUP) continue;
    const uint32_t id = load(out, entry + kIdOffset, 4);
    const std::optional<uint32_t> mapped = translate(tag == ACL_USER ? maps.uids : maps.gids, id);
    if (!mapped) {
      throw Error(ErrorKind::InvalidArgument,
                  "id " + std::to_string(id) + " in an ACL is outside the store's id map");
    }
    store(out, entry + kIdOffset, *mapped);
  }
  return out;
}

}  // namespace

std::string for_tar(std::string_view value, const IdMaps& maps) {
  return translated(value, maps,
                    [](const IdMap& map, uint32_t id) { return map.to_container(id); });
}

std::string for_disk(std::string_view value, const IdMaps& maps) {
  return translated(value, maps, [](const IdMap& map, uint32_t id) { return map.to_host(id); });
}

}  // namespace overlayd::acl
