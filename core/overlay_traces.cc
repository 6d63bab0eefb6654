// SPDX-License-Identifier: Apache-2.0
#include "core/overlay_traces.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "core/directory_walk.h"
#include "core/error.h"
#include "core/layout.h"
#include "core/merged_dir.h"
#include "core/sys.h"
#include "core/whiteout.h"
#include "core/xattr.h"

namespace overlayd {
namespace {

constexpr std::string_view kUserXattrs = "user.overlay.";

void check_xattrs(const std::vector<std::string>& xattrs) {
  for (const std::string& name : xattrs) {
    if (name == whiteout::kMetacopyXattr) {
      throw Error(ErrorKind::Unsupported, "it was copied up under overlay's metacopy=on");
    }
    if (name == whiteout::kRedirectXattr) {
      throw Error(ErrorKind::Unsupported, "it was renamed under overlay's redirect_dir=on");
    }
    if (name.starts_with(kUserXattrs)) {
      throw Error(ErrorKind::Unsupported, "overlay's option userxattr was used on it");
    }
  }
}

// overlayfs makes work/work in it at the first mount that may write, and Docker leaves it there.
bool was_upper(int home, const LayerId& id) {
  const UniqueFd work = sys::try_openat(home, layout::in_layer(id, layout::kWork),
                                        O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  return work && !sys::list_fresh_directory(work.get(), sys::Order::AsStored).empty();
}

void check_directory(const VisitedDirectory& directory) {
  for (const MergedDir::Entry& entry : directory.list) {
    if (!entry.is_directory() && !S_ISREG(entry.type())) continue;
    with_context([&] { return quoted(directory.prefix + entry.name()); },
                 [&] {
                   check_xattrs(xattr::list({entry.dirfd(), entry.name()}));
                 });
  }
}

}  // namespace

void check_overlay_traces(int home, const LayerId& id) {
  if (!was_upper(home, id)) return;
  std::vector<UniqueFd> content;
  content.push_back(sys::try_openat(home, layout::in_layer(id, layout::kDiff),
                                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  if (!content.front()) return;
  with_context([&] { return "layer " + quoted(id.str()); },
               [&] { walk_directories(MergedDir(std::move(content)), check_directory); });
}

}  // namespace overlayd
