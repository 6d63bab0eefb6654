// SPDX-License-Identifier: Apache-2.0
//
// Layers as a store would lay them out, for tests that mount them.
#pragma once

#include <string>
#include <vector>

#include "core/overlay.h"
#include "tests/support/root_sandbox.h"

namespace overlayd::test {

/// A file's content, or "" if there is none.
std::string content_of(int dirfd, const std::string& path);
void put_file(int dirfd, const std::string& path, const std::string& content);
/// Makes every directory on the way.
void make_dirs(int dirfd, const std::string& path);

/// What probe_overlay says about each method this kernel has. Never empty.
std::vector<OverlaySupport> usable_methods(int scratch_dirfd);

/// Makes below `home`: lowers "<prefix>N/diff", the file "N" and "who" with content N in each (so
/// layer 0 wins), with a link "l/LINK…" to every one; an upper "<prefix>top/diff", a work directory
/// and "merged". The spec is that of a writable mount, its lowers by link.
OverlaySpec make_layers(int home, size_t lowers, const std::string& prefix = "");

/// `spec` without upper and work.
OverlaySpec read_only(OverlaySpec spec);

}  // namespace overlayd::test
