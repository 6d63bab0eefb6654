// SPDX-License-Identifier: Apache-2.0
#include "core/filesystem.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

#include "core/error.h"
#include "core/scope_exit.h"
#include "core/sys.h"

namespace overlayd {
namespace {

struct Magic {
  uint32_t number;
  const char* name;
};

// statfs(2); the names are those of `docker info`.
constexpr Magic kMagics[] = {
    {0x61756673, "aufs"},     {0x9123683e, "btrfs"},    {0x28cd3d45, "cramfs"},
    {0x0000f15f, "ecryptfs"}, {0x0000ef53, "extfs"},    {0xf2f52010, "f2fs"},
    {0x65735546, "fuse"},     {0x47504653, "gpfs"},     {0x000072b6, "jffs2"},
    {0x3153464a, "jfs"},      {0x00006969, "nfs"},      {0x794c7630, "overlayfs"},
    {0x858458f6, "ramfs"},    {0x52654973, "reiserfs"}, {0x0000517b, "smb"},
    {0x73717368, "squashfs"}, {0x01021994, "tmpfs"},    {0xa501fcf5, "vxfs"},
    {0x58465342, "xfs"},      {0x2fc12fc1, "zfs"},
};

}  // namespace

std::string filesystem_name(int fd) {
  struct statfs info {};
  if (sys::retry_eintr([&] { return ::fstatfs(fd, &info); }) != 0)
    throw_errno([] { return std::string("ask for the file system type"); });
  // f_type is signed and wider than the number it holds.
  const auto number = static_cast<uint32_t>(info.f_type);
  const auto* const found =
      std::find_if(std::begin(kMagics), std::end(kMagics),
                   [&](const Magic& magic) { return magic.number == number; });
  return found == std::end(kMagics) ? "unknown" : found->name;
}

bool reports_d_type(int dirfd) {
  const std::string name = ".d_type-probe";
  sys::openat(dirfd, name, O_WRONLY | O_CREAT | O_NOFOLLOW, 0600);
  const ScopeExit undo([&] { ::unlinkat(dirfd, name.c_str(), 0); });
  for (const sys::DirEntry& entry : sys::list_directory(dirfd)) {
    if (entry.name == name) return entry.type != DT_UNKNOWN;
  }
  return false;
}

}  // namespace overlayd
