// SPDX-License-Identifier: Apache-2.0
//
// ProgressBar: how far `overlayd check --content` has come, in one line of a terminal:
//
//   [##########..............] 5 of 12 layers, 340 MB
//
// One thread at a time.
#pragma once

#include <iosfwd>
#include <string>

#include "core/store_check.h"

namespace overlayd {

class ProgressBar {
 public:
  explicit ProgressBar(std::ostream& terminal) : terminal_(terminal) {}
  /// Takes the line away.
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  /// Draws only what has changed.
  void show(const CheckProgress& progress);

 private:
  std::ostream& terminal_;
  std::string shown_;
};

}  // namespace overlayd
