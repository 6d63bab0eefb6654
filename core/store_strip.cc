// SPDX-License-Identifier: Apache-2.0
#include "core/store_strip.h"

#include <dirent.h>

#include <string>

#include "core/layout.h"
#include "core/sys.h"

namespace overlayd {
namespace {

void strip_layer(int home, const std::string& id) {
  const std::string prefix = id + "/";
  sys::remove_tree(home, prefix + layout::kPartial);
  for (const char* own : {layout::kRemoved, layout::kSize, layout::kDigests}) {
    sys::unlinkat(home, prefix + own, 0);
  }
  for (const char* file :
       {layout::kLink, layout::kLower, layout::kCommitted, layout::kSize, layout::kDigests}) {
    sys::unlinkat(home, prefix + file + sys::kUnfinished, 0);
  }
}

}  // namespace

void strip_store(int home) {
  for (const sys::DirEntry& entry : sys::list_directory(home)) {
    const bool is_layer = entry.type == DT_DIR && !entry.name.starts_with('.') &&
                          entry.name != layout::kLinkDirectory;
    if (is_layer) strip_layer(home, entry.name);
  }
  sys::remove_tree(home, layout::kOwnDirectory);
}

}  // namespace overlayd
