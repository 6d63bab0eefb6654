// SPDX-License-Identifier: Apache-2.0
//
// WriteBack: has the data of many new files written while more of them are made. Files go to the
// disk some way behind, in a thread of its own, and the wait for one is over, mostly, when its turn
// comes. Few files never start the thread. One thread uses an object.
#pragma once

#include <memory>
#include <string>

#include "core/unique_fd.h"

namespace overlayd {

class WriteBack {
 public:
  WriteBack();
  /// Closes what has not been written.
  ~WriteBack();
  WriteBack(const WriteBack&) = delete;
  WriteBack& operator=(const WriteBack&) = delete;

  /// Takes over a file with all its data, and closes it some time. Waits while too many are open.
  /// `path` is for messages.
  void take(UniqueFd file, std::string path);

  /// Returns when all files have been written; to be called once, as the last. Throws Error naming
  /// the first file that could not be.
  void finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace overlayd
