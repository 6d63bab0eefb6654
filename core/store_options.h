// SPDX-License-Identifier: Apache-2.0
//
// The options an engine passes: for the whole store (`--storage-opt` of the daemon) and for one
// layer (`--storage-opt` of a container). Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/project_quota.h"

namespace overlayd {

struct CreateOptions {
  /// Per-layer options of the engine, "size" and "inodes".
  std::vector<std::pair<std::string, std::string>> storage_options = {};
  /// A container's layer: only these have limits.
  bool is_writable = false;
};

/// Clear of the numbers that people give, of those that Docker's own driver counts up from its
/// home's, and of Kubernetes', which begin at 1048577.
inline constexpr ProjectRange kDefaultProjects{.first = 2097152, .last = 3145727};

struct StoreOptions {
  QuotaLimits limits = {};  ///< of a writable layer that has none of its own
  ProjectRange projects = kDefaultProjects;
};

/// Accepts, with keys in any case:
///   overlayd.size, overlay2.size      the limit of a container's layer, as parse_size takes it
///   overlayd.inodes                   the same in files, a number
///   overlayd.project_ids              FIRST-LAST, the project numbers that limited layers may get
///   overlay2.override_kernel_check    true or false, which Docker kept and ignores
/// The last of several with one meaning counts. Throws Error(InvalidArgument) naming any other key,
/// a value that is wrong, and text without '='.
StoreOptions parse_store_options(const std::vector<std::string>& options);

/// The limits that a layer is made with: its own options "size" and "inodes", else the store's.
/// Throws Error(InvalidArgument) naming any other key, a value that is wrong, and any option of a
/// layer that is not writable.
QuotaLimits parse_create_options(const CreateOptions& options, const StoreOptions& store);

/// A size as engines take it: digits, perhaps with a fraction, then perhaps one of the letters k,
/// m, g, t, p for powers of 1024, perhaps with "b" or "ib" behind it, in any case, with one blank
/// before if at all. "0" is no limit. Throws Error(InvalidArgument).
uint64_t parse_size(std::string_view text);

/// What can be said of an option, for people to read.
struct OptionNote {
  std::string_view key;
  std::string_view value;     ///< what it takes
  std::string_view fallback;  ///< what holds without it; may be empty
  std::string_view meaning;   ///< a sentence without its period
};

/// All that are known, each as it is parsed: of the store, and of a layer.
std::vector<OptionNote> store_option_notes();
std::vector<OptionNote> create_option_notes();

}  // namespace overlayd
