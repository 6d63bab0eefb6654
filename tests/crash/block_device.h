// SPDX-License-Identifier: Apache-2.0
//
// Files as disks: loop devices, the file systems under test, and images of them that can be put
// back in a millisecond. All in the caller's mount namespace, which should be its own: what is left
// mounted goes with it.
#pragma once

#include <string>
#include <vector>

#include "core/unique_fd.h"
#include "tests/crash/disk_states.h"

namespace overlayd::test {

/// A loop device over a file, without a cache of its own between the two. The kernel frees it when
/// the last user is gone, whatever happens to this process.
class LoopDevice {
 public:
  explicit LoopDevice(const std::string& file);
  const std::string& path() const { return path_; }

  /// Drops what the kernel remembers of the content; to be called when the file was changed.
  void forget();

 private:
  std::string path_;
  UniqueFd fd_;
};

enum class FileSystem { Ext4, Xfs };

/// A new, sparse image file `path` of a small file system with the usual options.
void make_image(FileSystem type, const std::string& path);

/// A device, mounted while this lives.
class MountedDevice {
 public:
  /// Throws SysError when the kernel refuses what is on the device.
  MountedDevice(FileSystem type, const LoopDevice& device, const std::string& directory);
  ~MountedDevice();
  MountedDevice(const MountedDevice&) = delete;
  MountedDevice& operator=(const MountedDevice&) = delete;

  /// Throws SysError when it is busy; the destructor lets go of it in any case.
  void unmount();

 private:
  const std::string directory_;
  bool mounted_ = false;
};

/// The file of a disk after a crash, made again and again from one base image.
class CrashImage {
 public:
  CrashImage(const std::string& base, std::string path);
  const std::string& path() const { return path_; }
  void become(const DiskState& state);

 private:
  struct Run {
    off_t offset;
    std::vector<std::byte> bytes;
  };

  const std::string path_;
  UniqueFd fd_;
  off_t size_ = 0;
  std::vector<Run> base_;  // all that is not zero
};

}  // namespace overlayd::test
