// SPDX-License-Identifier: Apache-2.0
//
// Checking a store for damage, whether it is served meanwhile or not, and Docker's own overlay2
// directory as well. What is looked for in the layers' files is core/store_survey.h, and repairs
// are those of start-up. One thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/layer_id.h"
#include "core/store_survey.h"

namespace overlayd {

/// How far comparing content has come.
struct CheckProgress {
  size_t layers_done = 0, layers = 0;         ///< of those that can be compared
  uint64_t bytes = 0;                         ///< compared so far, in all of them
  uint64_t layer_bytes = 0, layer_total = 0;  ///< in the current one
};

struct StoreCheckOptions {
  /// Repair what can be, and empty staging and trash. The store must not be served.
  bool repair = false;
  /// An engine's layer database, to name layers that it does not know; see core/engine_layers.h.
  std::optional<std::filesystem::path> layer_database = std::nullopt;
  /// Compare every file with what its ApplyDiff has recorded; see core/content_check.h.
  bool content = false;
  /// Told about that often; from any thread, one at a time.
  std::function<void(const CheckProgress&)> progress = {};
};

/// A layer that neither the engine knows nor any layer above it.
struct Orphan {
  LayerId id;
  int64_t bytes;  ///< as DiffSize counts them
};

/// What was compared, and what could not be.
struct ComparedContent {
  size_t layers = 0;
  uint64_t files = 0, bytes = 0;
  size_t without_digests = 0;  ///< layers
};

struct StoreReport {
  bool served = false;
  size_t layers = 0;
  std::vector<Finding> findings;      ///< after repairs
  std::vector<std::string> repaired;  ///< what was done, and what could not be, a sentence each
  std::vector<Orphan> orphans;        ///< only with a layer database
  std::optional<ComparedContent> content;

  size_t count(Finding::Gravity gravity) const;
};

/// Without `repair` nothing is changed, and only what is there three times in a row is a finding: a
/// layer that is just being made or removed looks damaged for an instant. What has become of
/// content is not repaired, and a finding only of a layer that is there when all of it was
/// compared. Throws NotFound when there is no store in `home`, Busy when it is to be repaired and
/// is served, SysError when something cannot be read.
StoreReport check_store(const std::filesystem::path& home, const StoreCheckOptions& options);

}  // namespace overlayd
