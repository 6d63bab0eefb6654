// SPDX-License-Identifier: Apache-2.0
#include "tests/crash/block_device.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>

#include "core/error.h"
#include "core/mount.h"
#include "core/sys.h"

namespace overlayd::test {
namespace {

void run(std::vector<std::string> command) {
  std::vector<char*> words;
  for (std::string& word : command) words.push_back(word.data());
  words.push_back(nullptr);
  pid_t pid = -1;
  int status = ::posix_spawnp(&pid, words[0], nullptr, nullptr, words.data(), environ);
  if (status == 0) ::waitpid(pid, &status, 0);
  if (status != 0) throw Error(ErrorKind::Internal, command[0] + " failed");
}

void pwrite_full(int fd, std::span<const std::byte> bytes, off_t offset) {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(fd, bytes.data(), bytes.size(), offset);
    if (count < 0) throw_errno("write", "a crash image");
    bytes = bytes.subspan(static_cast<size_t>(count));
    offset += count;
  }
}

}  // namespace

LoopDevice::LoopDevice(const std::string& file) {
  const UniqueFd backing = sys::openat(AT_FDCWD, file, O_RDWR);
  const UniqueFd control = sys::openat(AT_FDCWD, "/dev/loop-control", O_RDWR);
  for (;;) {
    const int number = ::ioctl(control.get(), LOOP_CTL_GET_FREE);
    if (number < 0) throw_errno("find", "a free loop device");
    path_ = "/dev/loop" + std::to_string(number);
    fd_ = sys::openat(AT_FDCWD, path_, O_RDWR);
    loop_config config{};
    config.fd = static_cast<uint32_t>(backing.get());
    config.info.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO;
    if (::ioctl(fd_.get(), LOOP_CONFIGURE, &config) == 0) return;
    // Somebody else was faster.
    if (errno != EBUSY) throw_errno("configure", path_);
  }
}

void LoopDevice::forget() {
  if (::ioctl(fd_.get(), BLKFLSBUF) != 0) throw_errno("flush", path_);
}

void make_image(FileSystem type, const std::string& path) {
  const off_t size = off_t{1} << 20;
  const UniqueFd fd = sys::openat(AT_FDCWD, path, O_RDWR | O_CREAT | O_TRUNC, 0600);
  // The smallest that mkfs.xfs makes.
  const off_t mebibytes = type == FileSystem::Ext4 ? 48 : 300;
  if (::ftruncate(fd.get(), mebibytes * size) != 0) throw_errno("resize", path);
  if (type == FileSystem::Ext4) {
    run({"mkfs.ext4", "-q", "-T", "default", "-b", "4096", "-J", "size=8", "-E",
         "lazy_itable_init=0,lazy_journal_init=0,nodiscard", path});
  } else {
    run({"mkfs.xfs", "-q", "-f", "-K", "-d", "agcount=2", path});
  }
}

MountedDevice::MountedDevice(FileSystem type, const LoopDevice& device,
                             const std::string& directory)
    : directory_(directory) {
  // Images of one file system have one UUID, and several may be mounted at a time.
  const bool xfs = type == FileSystem::Xfs;
  mount_classic(device.path(), directory, xfs ? "xfs" : "ext4", 0, xfs ? "nouuid" : "");
  mounted_ = true;
}

MountedDevice::~MountedDevice() {
  if (mounted_) ::umount2(directory_.c_str(), MNT_DETACH);
}

void MountedDevice::unmount() {
  if (::umount2(directory_.c_str(), 0) != 0) throw_errno("unmount", directory_);
  mounted_ = false;
}

CrashImage::CrashImage(const std::string& base, std::string path) : path_(std::move(path)) {
  fd_ = sys::openat(AT_FDCWD, path_, O_RDWR | O_CREAT | O_TRUNC, 0600);
  const UniqueFd from = sys::openat(AT_FDCWD, base, O_RDONLY);
  std::vector<std::byte> sector(kSector);
  while (const size_t count = sys::read_full(from.get(), sector)) {
    const bool zero = std::all_of(sector.begin(), sector.end(),
                                  [](std::byte byte) { return byte == std::byte{0}; });
    if (!zero) {
      if (base_.empty() ||
          base_.back().offset + static_cast<off_t>(base_.back().bytes.size()) != size_) {
        base_.push_back({size_, {}});
      }
      base_.back().bytes.insert(base_.back().bytes.end(), sector.begin(), sector.end());
    }
    size_ += static_cast<off_t>(count);
  }
  if (::ftruncate(fd_.get(), size_) != 0) throw_errno("resize", path_);
}

void CrashImage::become(const DiskState& state) {
  if (::fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, size_) != 0) {
    throw_errno("empty", path_);
  }
  for (const Run& part : base_) pwrite_full(fd_.get(), part.bytes, part.offset);
  for (const Fragment& fragment : state.kept) {
    pwrite_full(fd_.get(), fragment.bytes, static_cast<off_t>(fragment.offset));
  }
}

}  // namespace overlayd::test
