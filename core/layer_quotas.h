// SPDX-License-Identifier: Apache-2.0
//
// LayerQuotas: limits of layers, by project quotas. A limited layer's directory <id> is marked with
// a project of its own before anything is in it, so that all of the layer counts for it; the mark
// is the record of the number, and the file system that of the limits. There is no other, so none
// that could be wrong after a crash: a number is free when nothing counts for it and it has no
// limits, whoever else uses some on the same file system.
//
// Any thread. Errors: SysError of the kernel unless said otherwise.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "core/project_quota.h"

namespace overlayd {

class LayerQuotas {
 public:
  /// `home` is open for reading and must outlive this.
  LayerQuotas(int home, ProjectRange range) : home_(home), range_(range), next_(range.first) {}

  /// Throws Error(Unsupported) with the obstacle to limits, if there is one.
  void require() const;

  /// Puts an empty directory into a project that nothing else is in, with these limits. Throws
  /// Error(NoSpace) when every number is taken.
  void limit(int directory, const QuotaLimits& limits);

  /// Does `work`, which adds a little to the layer in <home>/<directory>, also when that is at its
  /// limits: these are then a little higher meanwhile. `work` is done a second time if it fails for
  /// want of space, and must leave nothing the first time.
  void with_room(const std::string& directory, const std::function<void()>& work);

 private:
  ProjectId claim(int directory);

  const int home_;
  const ProjectRange range_;
  std::mutex mutex_;  // one claims at a time
  ProjectId next_;    // goes round; guarded by mutex_
};

/// What keeps layers of the store in `home`, open for reading, from being limited, for people.
/// nullopt when they can be.
std::optional<std::string> obstacle_to_limits(int home);

struct LayerQuota {
  ProjectId project = 0;
  ProjectUsage usage;
};
/// Of the layer `name` in `dirfd`, whoever made it. nullopt when it has no project for itself, or
/// the file system limits none.
std::optional<LayerQuota> quota_of_layer(int dirfd, const std::string& name);

/// Marks the empty directory `to` as `from` is: a rename from one to the other is then possible.
void share_project(int from, int to);

/// To be called before the layer `name` in `dirfd` is deleted: takes the limits off its project.
/// The number is free as soon as the last file is gone. In this order a kill in between leaves
/// nothing. Nothing to do for what is no directory or not limited.
void release_project(int dirfd, const std::string& name);

}  // namespace overlayd
