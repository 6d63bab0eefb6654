// SPDX-License-Identifier: Apache-2.0
//
// RecordingDisk: a file (FUSE) that stands for a disk and writes down all that is done to it. It is
// served by a process of its own: killing whoever uses the disk ends that too, and then nothing can
// hang on it.
//
// It is as unhelpful as a disk may be: it answers writes only when nothing else comes any more, so
// that a flush finds those unanswered, and not covered, that the file system did not wait for.
#pragma once

#include <sys/types.h>

#include <string>

#include "core/unique_fd.h"
#include "tests/crash/disk_log.h"

namespace overlayd::test {

class RecordingDisk {
 public:
  /// Shows a disk that holds what the file `image` does, which is never changed, as the file
  /// "disk" in the empty directory `directory`.
  RecordingDisk(const std::string& image, const std::string& directory);
  /// The disk must not be in use any more.
  ~RecordingDisk();
  RecordingDisk(const RecordingDisk&) = delete;
  RecordingDisk& operator=(const RecordingDisk&) = delete;

  std::string path() const { return directory_ + "/disk"; }
  const DiskLog& log() const { return log_; }

 private:
  const std::string directory_;
  DiskLog log_;
  pid_t server_ = -1;
};

}  // namespace overlayd::test
