// SPDX-License-Identifier: Apache-2.0
#include "core/store_look.h"

#include <fcntl.h>

#include <cerrno>
#include <utility>

#include "core/error.h"
#include "core/layer_diff.h"
#include "core/layout.h"
#include "core/sys.h"

namespace overlayd {

UniqueFd open_store(const std::filesystem::path& home) {
  UniqueFd fd = sys::openat(AT_FDCWD, home, O_RDONLY | O_DIRECTORY);
  if (!sys::try_fstatat(fd.get(), layout::kLinkDirectory) &&
      survey_store(fd.get()).layers.empty()) {
    throw Error(ErrorKind::NotFound, "there is no store: neither layers nor a directory 'l'");
  }
  return fd;
}

// Each layer is behind its parent, so one pass from the end marks all that is needed.
std::vector<bool> needed_layers(const Survey& survey, const EngineLayers& engine) {
  std::vector<bool> needed(survey.layers.size());
  for (size_t i = survey.layers.size(); i-- > 0;) {
    const SurveyedLayer& layer = survey.layers[i];
    needed[i] = needed[i] || layer.record.partial || engine.knows(layer.id.str());
    if (needed[i] && layer.parent) needed[*layer.parent] = true;
  }
  return needed;
}

std::optional<int64_t> content_size(int home, const LayerId& id) {
  std::vector<UniqueFd> content;
  content.push_back(sys::try_openat(home, layout::in_layer(id, layout::kDiff),
                                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  if (!content.front()) return std::nullopt;
  try {
    return measure({.upper = MergedDir(std::move(content)), .parent = std::nullopt});
  } catch (const SysError& error) {
    if (error.errnum() == ENOENT) return std::nullopt;
    throw;
  }
}

std::vector<std::string> names_in(int home, const std::string& directory) {
  std::vector<std::string> names;
  const UniqueFd fd = sys::try_openat(home, directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!fd) return names;
  for (const sys::DirEntry& entry : sys::list_directory(fd.get())) names.push_back(entry.name);
  return names;
}

}  // namespace overlayd
