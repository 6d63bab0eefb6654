// SPDX-License-Identifier: Apache-2.0
//
// What all that look at a store without serving it have in common: `overlayd check` and the
// commands of core/store_view.h. Only reads. Any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/engine_layers.h"
#include "core/layer_id.h"
#include "core/store_survey.h"
#include "core/unique_fd.h"

namespace overlayd {

/// A served store changes while it is looked at: what only some of so many looks find was being
/// made or removed, and is not wrong.
constexpr int kLooks = 3;
constexpr std::chrono::milliseconds kBetweenLooks{150};

/// Opens a home to read. Throws NotFound when it holds no store: a wrong path must not look like an
/// empty or a healthy one.
UniqueFd open_store(const std::filesystem::path& home);

/// Of each layer, whether the engine knows it or one above it, or it is being filled.
std::vector<bool> needed_layers(const Survey& survey, const EngineLayers& engine);

/// The size of a layer's content as DiffSize counts it. nullopt when it is not there, or vanished.
std::optional<int64_t> content_size(int home, const LayerId& id);

/// The names in a directory; none when it is not there.
std::vector<std::string> names_in(int home, const std::string& directory);

}  // namespace overlayd
