// SPDX-License-Identifier: Apache-2.0
//
// Comparing what a layer holds with the digests that its ApplyDiff has recorded
// (core/layer_digests.h). Only reads. Takes some 60 bytes of memory for each file of the layer, and
// a second thread if there are many directories.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/layer_id.h"

namespace overlayd {

struct ContentDifference {
  std::string path;
  std::string what;  ///< a sentence without subject and end: "is missing"
};

struct ContentReport {
  /// No more of one layer are named.
  static constexpr size_t kMostNamed = 100;

  uint64_t files = 0, bytes = 0;  ///< compared
  std::vector<ContentDifference> differences;
  uint64_t more = 0;  ///< differences beside those
};

/// Bytes of the layer compared so far, and of all. From any thread, one at a time.
using ContentProgress = std::function<void(uint64_t bytes, uint64_t all)>;

/// Compares the open directory `content` with the open record `digests`. Throws Error(Corrupt)
/// when the record is damaged, SysError when this process lacks memory or descriptors; what cannot
/// be read otherwise is a difference. Paths are relative to `content`, "" is itself.
ContentReport compare_content(int content, int digests, const ContentProgress& progress = {});

/// The same for a layer of the store in `home`, which may be served, with paths below `home`. A
/// record that is damaged is a difference, too. nullopt when the layer has no record, or none that
/// counts: it is being filled, or was removed or given to somebody to write to, meanwhile or
/// through another driver.
std::optional<ContentReport> check_content(int home, const LayerId& id,
                                           const ContentProgress& progress = {});

}  // namespace overlayd
