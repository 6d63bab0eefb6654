// SPDX-License-Identifier: Apache-2.0
//
// tree_dump: a directory tree as text, completely enough that equal text means equal trees.
#pragma once

#include <string>
#include <vector>

namespace overlayd::test {

struct TreeDumpOptions {
  bool mtimes = false;  ///< with nanoseconds
};

/// One line a file, sorted, "." included:
///   a/b: file 0644 0:0 "content" user.x="value"
/// Content longer than 64 bytes is shown as its length and a hash. Further links to an inode read
/// "same as <first path>". Extended attributes are all that the caller may see, trusted.* with
/// root.
std::vector<std::string> tree_dump(int dirfd, const TreeDumpOptions& options = {});

/// The lines as one text, for messages and CHECK.
std::string tree_text(int dirfd, const TreeDumpOptions& options = {});

}  // namespace overlayd::test
