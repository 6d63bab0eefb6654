// SPDX-License-Identifier: Apache-2.0
//
// TempDir: a directory of its own below $TMPDIR or /tmp, gone with the object, also after a failed
// assertion.
#pragma once

#include <string>

#include "core/unique_fd.h"

namespace overlayd::test {

class TempDir {
 public:
  TempDir();
  /// A mount left below is not followed: the directory stays and the running test fails.
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  int fd() const { return fd_.get(); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

  /// A file with this content, made or replaced.
  void write(const std::string& name, const std::string& content) const;
  std::string read(const std::string& name) const;

 private:
  std::string path_;
  UniqueFd fd_;
};

}  // namespace overlayd::test
