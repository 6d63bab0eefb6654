// SPDX-License-Identifier: Apache-2.0
//
// LayerDirectories: the directories of a layer that is being filled from a tar, found and made the
// way the finished layer will show them. A tar may put "lib/x" where only a lower layer has "lib":
// as a directory, which the new layer must then have with the same owner and mode, or as a symlink,
// which must be followed and not hidden. Symlinks never lead out of the layer. One thread uses an
// object.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <array>
#include <ctime>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/id_map.h"
#include "core/merged_dir.h"
#include "core/unique_fd.h"

namespace overlayd {

/// The stack of layers below the one being filled; empty when it lies on nothing. Called at most
/// once, and only if a tar leaves directories out.
using OpenLower = std::function<MergedDir()>;

class LayerDirectories {
 public:
  /// `root` is the layer's content; `maps` must outlive this.
  LayerDirectories(int root, const IdMaps& maps, OpenLower open_lower);

  /// Goes to `path` (cleaned, relative, "" the root), making what is missing. The descriptor is
  /// good until the next call. Throws Error(BadArchive) when something in the way is no directory,
  /// or must be made where check_name would refuse it.
  int enter(const std::string& path);

  /// Where a new file is made, relative to an open directory.
  struct Place {
    int dirfd;
    std::string path;
  };
  /// The same, for a file `name` to be made there: a directory that was just made, with nothing but
  /// files in it so far, is not opened for that. The path goes through no other.
  Place enter_for_file(const std::string& path, const std::string& name);

  /// Throws Error(BadArchive) when `name` in the current directory is more than a tar could name.
  /// The tar that is being read may well have a shorter name for it, through a symlink.
  void check_name(std::string_view name) const;

  /// What the tar has given a directory.
  struct Given {
    gid_t gid;
    bool is_set_gid;
    bool has_default_acl;
    timespec mtime;
  };
  /// To be called when the directory `name` in the current one was made or changed to be as
  /// `given`, but for its times: those are set when it is left for another than itself.
  void add(const std::string& name, const Given& given);

  /// Leaves all directories: their times are what the tar has said, or what they were before.
  void leave();

  /// To be called when something was removed: paths may lead elsewhere now, or nowhere, so the next
  /// enter() looks again.
  void expect_changes() { stale_ = true; }

  /// True when what is made in the current directory gets ACLs from it.
  bool has_default_acl() const { return current().has_default_acl; }

  /// True when what is made in the current directory certainly has the group `gid`. It has the
  /// process's or the directory's: the mount may have the option `grpid`.
  bool gives_group(gid_t gid) const {
    return gid == current().gid && (is_set_gid() || gid == gid_);
  }
  /// True when what is made in it has its group, and directories are set-gid as well.
  bool is_set_gid() const { return current().is_set_gid; }

  /// `name` in the current directory, in the layer, without symlinks on the way.
  std::string path_of(const std::string& name) const;

  struct Found {
    int fd;
    std::string path;  ///< in the layer, without symlinks
  };
  /// `path` if the layer itself has it; makes nothing. Good until the next call.
  std::optional<Found> find(const std::string& path);

  /// True when a whiteout had to go for a directory.
  bool has_removed() const { return has_removed_; }

 private:
  /// A directory on the way: this layer's, and what lies below it.
  struct Step {
    UniqueFd own;
    std::shared_ptr<const MergedDir> lower;  // null: nothing shines through
    std::string path = {};                   // in the layer, without symlinks
  };

  /// A directory that the tar may soon go on in. As long as one is open its times are these,
  /// whatever the file system says.
  struct Open {
    UniqueFd fd;
    std::string path;  // without symlinks, so there is but one for a directory
    std::array<timespec, 2> times;
    bool has_default_acl;
    gid_t gid;
    bool is_set_gid;
  };
  using OpenList = std::list<Open>;

  /// What add() told of, in the first open directory. It is opened if the tar goes on in it with
  /// more than files; till then there is nothing else in it.
  struct Added {
    std::string name;
    Open as;  // without a descriptor
    bool is_entered = false;
  };

  /// What to do about a directory that the layer has not: make it, whatever is below; make it only
  /// if there is one below; or go no further.
  enum class Missing { Make, Refuse, Stop };

  const Open& current() const { return added_ && added_->is_entered ? added_->as : open_.front(); }
  void go_to(OpenList::iterator next, const std::string& path);
  OpenList::iterator find_open(const std::string& path);
  OpenList::iterator open(const std::string& path);
  OpenList::iterator open_added();
  void pass_over_added();
  OpenList::iterator keep(Open directory);
  void close_oldest();
  Open as_it_is(Step step) const;
  std::optional<Step> find_own(const std::string& path);
  std::optional<Step> walk(const std::string& path, std::shared_ptr<const MergedDir> lower,
                           Missing missing);
  static std::optional<std::string> symlink_at(const Step& at, const std::string& name);
  std::optional<Step> step(const Step& at, const std::string& name, Missing missing);
  static Step step_into_own(const Step& at, const std::string& name);
  Step step_into_deleted(const Step& at, const std::string& name);
  Step step_into_new(const Step& at, const std::string& name,
                     const std::optional<MergedDir::Entry>& below);
  std::shared_ptr<const MergedDir> lower_root();

  int root_;
  const IdMaps& maps_;
  OpenLower open_lower_;
  std::shared_ptr<const MergedDir> lower_root_;

  const gid_t gid_;
  OpenList open_;     // the current one first, or the one around it; the others by last use
  std::string path_;  // of the first, as the tar has it
  std::optional<Added> added_;
  bool stale_ = false;
  bool has_removed_ = false;
  UniqueFd found_;
};

}  // namespace overlayd
