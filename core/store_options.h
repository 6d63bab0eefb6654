// SPDX-License-Identifier: Apache-2.0
//
// The options an engine passes: for the whole store (`--storage-opt` of the daemon) and for one
// layer
// (`--storage-opt` of a container). Pure.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace overlayd {

struct CreateOptions {
  /// Per-layer options of the engine ("size", …). None is supported yet: any key is refused.
  std::vector<std::pair<std::string, std::string>> storage_options;
};

/// Nothing can be set yet; the type is where settings will live.
struct StoreOptions {};

/// Accepts "overlay2.override_kernel_check=<bool>", which Docker kept and ignores. Throws
/// Error(Unsupported) for quotas, Error(InvalidArgument) naming any other key, and for text without
/// '='.
StoreOptions parse_store_options(const std::vector<std::string>& options);

/// Throws Error(Unsupported) for a size, Error(InvalidArgument) naming any other key.
void check_create_options(const CreateOptions& options);

}  // namespace overlayd
