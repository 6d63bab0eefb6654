// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/canary.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <array>
#include <sstream>

#include "core/error.h"
#include "core/stream.h"
#include "core/sys.h"

namespace overlayd::fuzz {
namespace {

constexpr char kMountPoint[] = "/mnt";
constexpr char kContent[] = "tweet";
constexpr std::array kFiles = {"canary", "canary.d/file", "layers/canary", "lower/d/e/f"};
constexpr std::array kDirectories = {".", "canary.d", "layers", "lower", "lower/d", "lower/d/e"};

void make_canary(int root, const char* path) {
  const UniqueFd file = sys::openat(root, path, O_WRONLY | O_CREAT | O_EXCL, 0600);
  sys::write_full(file.get(), as_bytes(kContent));
}

// A time that no change of now can have.
void age(int dirfd, const char* path) {
  const std::array<timespec, 2> long_ago = {timespec{86400, 1}, timespec{86400, 1}};
  if (::utimensat(dirfd, path, long_ago.data(), AT_SYMLINK_NOFOLLOW) != 0)
    throw_errno("set the times of", path);
}

std::string status_line(int root, const char* path) {
  const struct stat info = sys::fstatat(root, path);
  std::ostringstream line;
  line << path << " inode " << info.st_ino << " mode " << std::oct << info.st_mode << std::dec
       << " owner " << info.st_uid << ':' << info.st_gid << " links " << info.st_nlink << " size "
       << info.st_size << " mtime " << info.st_mtim.tv_sec << '.' << info.st_mtim.tv_nsec
       << " ctime " << info.st_ctim.tv_sec << '.' << info.st_ctim.tv_nsec;
  return line.str();
}

}  // namespace

CanaryCage::CanaryCage() {
  if (::unshare(CLONE_NEWNS) != 0) throw_errno("enter a mount namespace", "fuzz");
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    throw_errno("make mounts private below", "/");
  if (::mount("fuzz", kMountPoint, "tmpfs", MS_NODEV | MS_NOSUID | MS_NOEXEC,
              "size=64m,nr_inodes=20000,mode=0755") != 0)
    throw_errno("mount a tmpfs on", kMountPoint);
  root_ = sys::openat(AT_FDCWD, kMountPoint, O_RDONLY | O_DIRECTORY);
  for (const char* path : kDirectories) sys::mkdirat(root_.get(), path, 0751);
  sys::symlinkat("d", root_.get(), "lower/s");
  sys::symlinkat("../canary.d", root_.get(), "lower/up");
  sys::symlinkat("/mnt/canary.d", root_.get(), "lower/out");
  layers_ = sys::openat(root_.get(), "layers", O_RDONLY | O_DIRECTORY);
  for (const char* path : kFiles) make_canary(root_.get(), path);
  for (const char* path : kFiles) age(root_.get(), path);
  for (const char* path : kDirectories) age(root_.get(), path);
}

UniqueFd CanaryCage::make_layer(const std::string& name) const {
  if (::mkdirat(layers_.get(), name.c_str(), 0755) != 0) throw_errno("make layer", name);
  UniqueFd layer = sys::openat(layers_.get(), name, O_RDONLY | O_DIRECTORY);
  age(layers_.get(), ".");
  return layer;
}

UniqueFd CanaryCage::open_lower() const {
  return sys::openat(root_.get(), "lower", O_RDONLY | O_DIRECTORY);
}

void CanaryCage::remove_layers() const {
  for (const sys::DirEntry& entry : sys::list_directory(layers_.get())) {
    if (entry.type == DT_DIR) sys::remove_tree(layers_.get(), entry.name);
  }
}

std::vector<std::string> CanaryCage::look() const {
  std::vector<std::string> seen;
  for (const char* path : kDirectories) {
    seen.push_back(status_line(root_.get(), path));
    const UniqueFd directory = sys::openat(root_.get(), path, O_RDONLY | O_DIRECTORY);
    for (const sys::DirEntry& entry : sys::list_directory(directory.get()))
      seen.push_back(std::string(path) + " has " + entry.name);
  }
  for (const char* path : kFiles) {
    seen.push_back(status_line(root_.get(), path));
    seen.push_back(sys::read_file(root_.get(), path, sizeof kContent));
  }
  return seen;
}

}  // namespace overlayd::fuzz
