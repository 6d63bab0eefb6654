// SPDX-License-Identifier: Apache-2.0
//
// StoreState: what a store says of its layers and what the kernel and the ledger say of its mounts,
// as comparable text. Equal states mean that no client could tell the stores apart.
#pragma once

#include <map>
#include <string>

#include "core/layer_store.h"

namespace overlayd::test {

/// One line a layer, by id: parent, whether read-only, digests of its content alone and with what
/// lies below, its size, its record of digests, its mount and holders. For a layer that takes only
/// remove: why. And a line of how the store mounts.
using StoreState = std::map<std::string, std::string>;

StoreState state_of(LayerStore& store);

std::string to_text(const StoreState& state);

/// `state` with the line of one layer replaced.
StoreState with_line(StoreState state, const std::string& id, const std::string& line);

/// The line of a layer whose ApplyDiff did not finish.
inline constexpr char kUnfinished[] = "corrupt";

/// In the line of a layer with a record of digests, which it agrees with.
inline constexpr char kRecorded[] = ", as recorded";

/// Of a digest no more is asked than that different contents of a test differ.
std::string digest(const std::string& bytes);

}  // namespace overlayd::test
