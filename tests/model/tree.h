// SPDX-License-Identifier: Apache-2.0
//
// What a layer shows, as the model has it, and how tars and programs change it; written down from
// docs/layers.md with no look at how core does it. Pure, any thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace overlayd::model {

/// By path, without a leading '/': kDirectory, or the number of a file. The number says everything
/// of a file (content, size, mtime), and no two files that were ever written share one.
using Tree = std::map<std::string, uint64_t>;
inline constexpr uint64_t kDirectory = 0;

/// Where the path is; "" is the root.
std::string directory_of(const std::string& path);
bool is_directory(const Tree& tree, const std::string& path);

std::string content_of(uint64_t file);
int64_t mtime_of(uint64_t file);
/// kDirectory where the content is no file's.
uint64_t file_of(std::string_view content);

/// One statement of a layer tar.
struct Member {
  enum class Kind { Directory, File, Whiteout, Opaque };
  Kind kind;
  std::string path;  ///< of what is made, deleted or opaque
  uint64_t file = kDirectory;
  bool operator==(const Member&) const = default;
};
using Members = std::vector<Member>;

std::string tar_of(const Members& members);
/// Throws Error when the tar is damaged, or has what no tree of the model could give.
Members members_of(const std::string& tar);
/// The files among them.
Tree files_of(const Members& members);
/// What a layer of these members shows on `lower`. Each directory but the root must have a member
/// before what is in it.
Tree applied(const Members& members, const Tree& lower);

/// The files that a layer showing `now` carries on one that shows `before`.
Tree carried(const Tree& now, const Tree& before);
int64_t size_of(const Tree& files);
/// The answer to Changes.
std::string changes_between(const Tree& now, const Tree& before);

/// What a program does to its root.
struct Edit {
  enum class Kind { Write, MakeDirectory, Remove, Replace };
  Kind kind;
  std::string path;
  uint64_t file =
      kDirectory;  ///< Write: what is written; Replace: the one file in the new directory
};
bool possible(const Edit& edit, const Tree& tree);
Tree edited(const Edit& edit, Tree tree);

std::string to_string(const Member& member);
std::string to_string(const Edit& edit);

}  // namespace overlayd::model
