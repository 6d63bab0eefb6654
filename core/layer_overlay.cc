// SPDX-License-Identifier: Apache-2.0
#include "core/layer_overlay.h"

#include <unistd.h>

#include <string_view>

#include "core/layout.h"

namespace overlayd {
namespace {

// For a shell: in single quotes, unless it needs none.
std::string shell_word(std::string_view text) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+,:=";
  if (!text.empty() && text.find_first_not_of(kPlain) == std::string_view::npos) {
    return std::string(text);
  }
  std::string word = "'";
  for (const char c : text) word += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return word + "'";
}

// fsconfig(2) takes no longer values, mount(2) does, and newer versions of mount(8) prefer the
// former.
constexpr size_t kMaxFsconfigValue = 255;

std::string overlay_mount(const std::string& options) {
  const bool is_long = options.find(',') > kMaxFsconfigValue;  // lowerdir, which comes first
  return (is_long ? "LIBMOUNT_FORCE_MOUNT2=always " : "") +
         std::string("mount -t overlay overlay -o ") + shell_word(options);
}

}  // namespace

OverlaySpec overlay_of(const LayerId& id, bool read_only, const std::vector<std::string>& lowers) {
  OverlaySpec spec;
  const OverlayLayer content{.path = layout::in_layer(id, layout::kDiff), .fd = -1};
  if (read_only) {
    spec.lowers.push_back(content);
  } else {
    spec.upper = content;
    spec.work = OverlayLayer{.path = layout::in_layer(id, layout::kWork), .fd = -1};
  }
  for (const std::string& lower : lowers) spec.lowers.push_back({.path = lower, .fd = -1});
  return spec;
}

MountCommand mount_command(const std::filesystem::path& home, const LayerId& id, bool read_only,
                           const std::vector<std::string>& lowers) {
  const std::string merged = layout::in_layer(id, layout::kMerged);
  const std::string start =
      "cd " + shell_word(home.native()) + " && mkdir -p " + shell_word("./" + merged) + " && ";
  const std::string end = " " + shell_word("./" + merged);
  if (lowers.empty() && !read_only) {
    return {.line = {}, .reason = "it lies on nothing, so it is its 'diff' directory"};
  }
  if (lowers.empty()) {
    const std::string diff = "./" + layout::in_layer(id, layout::kDiff);
    return {.line = start + "mount --bind -o ro " + shell_word(diff) + end, .reason = {}};
  }
  // Kernels that overlayd runs on know all three.
  const OverlaySupport support{
      .index_option = true, .redirect_dir_option = true, .metacopy_option = true};
  std::vector<std::string> paths;
  for (const std::string& lower : lowers) paths.push_back(layout::link_path(lower));
  const std::string options = classic_options(overlay_of(id, read_only, paths), support);
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  if (options.size() >= page) {
    return {.line = {},
            .reason = "its " + std::to_string(lowers.size()) + " lower layers need " +
                      std::to_string(options.size() + 1) +
                      " bytes of options, and mount(2) takes a page of " + std::to_string(page)};
  }
  return {.line = start + overlay_mount(options) + end, .reason = {}};
}

}  // namespace overlayd
