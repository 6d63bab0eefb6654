// SPDX-License-Identifier: Apache-2.0
//
// DirectoryWalk: visits every directory of merged trees, in no particular order, with two threads
// when there is much to visit. Needs no more stack however deep a tree is, and a descriptor only
// for directories with something below them that was not visited yet.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/merged_dir.h"

namespace overlayd {

class DirectoryWalk {
 public:
  static constexpr size_t kThreads = 2;

  /// A directory that is being visited. `list` is all it has, whiteouts included, in no particular
  /// order; its directories are visited afterwards.
  struct Visited {
    size_t thread;              ///< below kThreads; what has the same never runs at the same time
    const std::string& prefix;  ///< its path with a slash behind it
    size_t depth;               ///< how many directories it is away from where the walk began
    const std::vector<MergedDir::Entry>& list;
  };
  /// Runs in both threads.
  using Visit = std::function<void(const Visited&)>;

  explicit DirectoryWalk(Visit visit);
  ~DirectoryWalk();
  DirectoryWalk(const DirectoryWalk&) = delete;
  DirectoryWalk& operator=(const DirectoryWalk&) = delete;

  /// Visits `root` and all below it. Throws the first error of opening, listing or visiting; no
  /// visit is under way any more then, and the walk is of no further use. One thread at a time.
  void run(const MergedDir& root, const std::string& prefix);

  /// The same for some directories in `above`, whose prefix is given, without itself.
  void run(const MergedDir& above, const std::vector<MergedDir::Entry>& directories,
           const std::string& prefix);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace overlayd
