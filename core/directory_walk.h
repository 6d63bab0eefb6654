// SPDX-License-Identifier: Apache-2.0
//
// walk_directories: visits every directory of a merged tree, in no particular order, with two
// threads when there is much to visit. Needs no more stack however deep a tree is, and a descriptor
// only for directories with something below them that was not visited yet.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/merged_dir.h"

namespace overlayd {

constexpr size_t kWalkThreads = 2;

/// A directory that is being visited. `list` is all it has, whiteouts included, in no particular
/// order; its directories are visited afterwards.
struct VisitedDirectory {
  size_t thread;              ///< below kWalkThreads; what has the same never runs at the same time
  size_t depth;               ///< how many directories it is away from the root
  const std::string& prefix;  ///< its path with a slash behind it, "" of the root
  const std::vector<MergedDir::Entry>& list;
};

/// Visits `root` and all below it; `visit` runs in both threads. Throws the first error of opening,
/// listing or visiting; no visit is under way any more then.
void walk_directories(const MergedDir& root,
                      const std::function<void(const VisitedDirectory&)>& visit);

}  // namespace overlayd
