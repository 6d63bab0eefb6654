// SPDX-License-Identifier: Apache-2.0
//
// MergedDir: a directory as a stack of layers shows it, read from the layers themselves: what
// overlayfs would merge, without mounting anything. Diff, Changes and DiffSize all walk with it,
// one stack for the layer side and one for the parent side.
//
// Merging follows Documentation/filesystems/overlayfs.rst: of each name the nearest layer's object
// counts; directories of one name merge downwards until an opaque directory, a whiteout or a
// non-directory ends the column.
//
// A MergedDir holds one open descriptor per contributing layer. One thread lists it, any may find
// and open in it; several may walk the same layers.
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>
#include <vector>

#include "core/sys.h"
#include "core/unique_fd.h"

namespace overlayd {

class MergedDir {
 public:
  /// The roots of a stack of layers, nearest first; not empty. Each must be readable as a
  /// directory, and not have been read from.
  explicit MergedDir(std::vector<UniqueFd> layers);

  /// An object of one layer. What the list of a directory says of it comes free; the rest is asked
  /// of the kernel at the first use.
  class Entry {
   public:
    Entry(std::string name, int dirfd, size_t layer, mode_t type);
    Entry(std::string name, int dirfd, size_t layer, const struct stat& info);

    const std::string& name() const { return name_; }
    /// The layer's directory that holds it; lives as long as the MergedDir.
    int dirfd() const { return dirfd_; }
    /// Index in the directory's column, 0 nearest.
    size_t layer() const { return layer_; }
    /// The S_IFMT bits.
    mode_t type() const { return type_; }
    bool is_directory() const { return S_ISDIR(type_); }
    bool is_whiteout() const;
    /// Not following symlinks. SysError(ENOENT): it has vanished (a live upper).
    const struct stat& info() const;
    /// The same; null when it has vanished.
    const struct stat* try_info() const;

   private:
    std::string name_;
    int dirfd_;
    size_t layer_;
    mode_t type_;
    mutable std::optional<struct stat> info_;
  };

  /// The nearest object of each name, whiteouts included, sorted by name bytes if at all.
  std::vector<Entry> list(sys::Order order = sys::Order::ByName) const;

  /// The nearest object of that name; nullopt when no layer has it or a whiteout hides it.
  std::optional<Entry> find(const std::string& name) const;

  /// The merged directory behind a directory entry.
  MergedDir open(const Entry& directory) const;

  /// The nearest layer's directory, open for reading.
  int nearest() const { return column_.front().get(); }

  /// The names of its extended attributes when it was opened; none of a root.
  const std::vector<std::string>& nearest_xattrs() const { return nearest_xattrs_; }

  /// True when this directory hides whatever lies below the stack at its place: one of its layers
  /// has it opaque, or something other than a directory underneath. Roots never are.
  bool opaque() const { return opaque_; }

 private:
  MergedDir(std::vector<UniqueFd> column, bool opaque);

  void add(UniqueFd fd);

  std::vector<UniqueFd> column_;
  std::vector<std::string> nearest_xattrs_;
  bool opaque_ = false;
  mutable bool listed_ = false;  // or begun
};

}  // namespace overlayd
