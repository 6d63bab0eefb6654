// SPDX-License-Identifier: Apache-2.0
//
// StateDir: the directory that outlives the process, and the lock that keeps a second overlayd off
// it. In it, this class owns the files `lock` and `init.json`; the rest is the layer store's.
//
// Threads: one at a time.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "core/unique_fd.h"

namespace overlayd {

class StateDir {
 public:
  /// Makes the directory (0700) and its parents if missing and takes the lock, for the life of this
  /// object or of the process. Throws Error(Busy) when another process holds it.
  explicit StateDir(const std::filesystem::path& path);

  const std::filesystem::path& path() const noexcept { return path_; }

  /// What write_init() wrote last, in this process or an earlier one.
  std::optional<std::string> read_init() const;
  /// On disk when it returns; a crash leaves the old content or the new one.
  void write_init(std::string_view content);

 private:
  std::filesystem::path path_;
  UniqueFd dir_;
  UniqueFd lock_;
};

}  // namespace overlayd
