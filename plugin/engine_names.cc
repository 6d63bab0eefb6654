// SPDX-License-Identifier: Apache-2.0
#include "plugin/engine_names.h"

#include <fcntl.h>

#include <algorithm>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/sys.h"

namespace overlayd {
namespace {

using Json = nlohmann::json;
using Path = std::filesystem::path;

constexpr size_t kMaxJson = size_t{64} << 20;
constexpr size_t kMaxDigest = 256;
constexpr size_t kShortId = 12;

std::optional<std::string> read(const Path& file, size_t limit) {
  try {
    return sys::try_read_file(AT_FDCWD, file, limit);
  } catch (const Error&) {
    return std::nullopt;
  }
}

// Null for what is none.
Json read_json(const Path& file) {
  Json json = Json::parse(read(file, kMaxJson).value_or(""), nullptr, false);
  return json.is_discarded() ? Json() : json;
}

std::vector<Path> files_in(const Path& directory) {
  std::vector<Path> files;
  std::error_code error;
  for (std::filesystem::directory_iterator at(directory, error), end; !error && at != end;
       at.increment(error)) {
    files.push_back(at->path());
  }
  return files;
}

std::string text_of(const Json& value) {
  return value.is_string() ? value.get<std::string>() : std::string();
}

/// Which chain comes of what content on which chain ("" for the lowest).
using Chains = std::map<std::pair<std::string, std::string>, std::string>;

Chains read_chains(const Path& layer_database) {
  Chains chains;
  for (const Path& algorithm : files_in(layer_database)) {
    for (const Path& layer : files_in(algorithm)) {
      const auto content = read(layer / "diff", kMaxDigest);
      if (!content) continue;
      const std::string parent = read(layer / "parent", kMaxDigest).value_or("");
      chains[{parent, *content}] = algorithm.filename().string() + ":" + layer.filename().string();
    }
  }
  return chains;
}

std::string topmost_chain(const Json& image, const Chains& chains) {
  static const Json::json_pointer kContents("/rootfs/diff_ids");
  std::string chain;
  if (!image.contains(kContents)) return chain;
  for (const Json& content : image.at(kContents)) {
    const auto next = chains.find({chain, text_of(content)});
    if (next == chains.end()) return {};
    chain = next->second;
  }
  return chain;
}

/// Names by id, but for those that are digests.
std::multimap<std::string, std::string> read_names(const Path& repositories) {
  std::multimap<std::string, std::string> names;
  const Json all = read_json(repositories);
  if (!all.is_object() || !all.contains("Repositories")) return names;
  for (const Json& repository : all.at("Repositories")) {
    if (!repository.is_object()) continue;
    for (const auto& [name, id] : repository.items()) {
      if (name.find('@') == std::string::npos) names.emplace(text_of(id), name);
    }
  }
  return names;
}

}  // namespace

EngineNames::EngineNames(const Path& layer_database) {
  const Path images = std::filesystem::weakly_canonical(layer_database).parent_path();
  containers_ = images / "../../containers";
  const Chains chains = read_chains(layer_database);
  const auto names = read_names(images / "repositories.json");
  for (const Path& algorithm : files_in(images / "imagedb/content")) {
    for (const Path& image : files_in(algorithm)) {
      std::vector<std::string>& known = images_[topmost_chain(read_json(image), chains)];
      const std::string id = image.filename().string();
      const auto [begin, end] = names.equal_range(algorithm.filename().string() + ":" + id);
      if (begin == end) known.push_back(id.substr(0, kShortId));
      for (auto at = begin; at != end; ++at) known.push_back(printable(at->second));
      std::ranges::sort(known);
    }
  }
}

std::vector<std::string> EngineNames::of(const EngineUser& user) const {
  if (user.kind == EngineUser::Kind::Image) {
    const auto found = images_.find(user.name);
    return found == images_.end() ? std::vector<std::string>() : found->second;
  }
  const Json config = read_json(containers_ / user.name / "config.v2.json");
  std::string name = config.is_object() ? text_of(config.value("Name", Json())) : std::string();
  if (name.starts_with('/')) name.erase(0, 1);
  return {name.empty() ? user.name.substr(0, kShortId) : printable(name)};
}

}  // namespace overlayd
