// SPDX-License-Identifier: Apache-2.0
//
// Mounting and unmounting, one system call each, and what the store must know before it unmounts.
// What an overlay is made of is core/overlay.h; the mount table is core/mountinfo.h. Every function
// may run on any thread. Sources: fsopen(2), fsconfig(2), fsmount(2), open_tree(2), move_mount(2),
// mount_setattr(2), umount(2), statx(2), unshare(2), proc(5).
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>

#include "core/unique_fd.h"

namespace overlayd {

/// Owns a mount that is nowhere in the tree yet: it vanishes with its owner unless attached, so a
/// failure on the way needs no undoing.
class DetachedMount {
 public:
  /// `fd` as from fsmount(2) or open_tree(2) with OPEN_TREE_CLONE.
  explicit DetachedMount(UniqueFd fd) noexcept : fd_(std::move(fd)) {}

  /// The root of the mount, usable as a dirfd.
  int fd() const noexcept { return fd_.get(); }

  /// Puts the mount on the existing directory `path`; from then on the tree owns it. A symlink at
  /// the end of `path` is not followed. Throws SysError and attaches nothing; may be tried again.
  void attach(int dirfd, const std::string& path);

 private:
  UniqueFd fd_;
};

/// A file system being configured: the owner of an fsopen(2) descriptor. Errors are SysError and
/// carry the kernel's own words where it gave any. Linux 5.2.
class FsContext {
 public:
  explicit FsContext(const std::string& fs_type);

  /// `value` may have 255 bytes at most (fsconfig(2)).
  void set_string(const std::string& key, const std::string& value);
  /// `value` may be O_PATH; the kernel keeps its own reference.
  void set_fd(const std::string& key, int value);
  /// Makes the file system and a mount of it. Once only.
  DetachedMount create();

 private:
  UniqueFd fd_;
};

/// What the kernel has said about an fsopen(2) descriptor and nobody has read yet: its error lines,
/// joined by "; ", without the "e " marks. Empty when it said nothing. Up to 6.18 overlayfs
/// explains what is wrong with a single option here, and what is wrong with the whole only in the
/// kernel log.
std::string read_context_messages(int fs_fd);

/// A private, read-only view of the directory `dirfd` itself, without the mounts below it.
/// Linux 5.12.
DetachedMount clone_read_only(int dirfd);

/// mount(2). The error says only that: what was mounted where is for the caller to add.
void mount_classic(const std::string& source, const std::string& target, const char* fs_type,
                   unsigned long flags, const std::string& options = {});

/// True when `path` itself (a symlink is not followed) is the root of a mount; false also when it
/// is absent. Asks the mounted file system for nothing.
bool is_mount_point(int dirfd, const std::string& path);

/// Takes the topmost mount off `path`, at once, even if it is in use: whoever uses it keeps it
/// until the last one is done (MNT_DETACH). A symlink at the end is not followed. False when
/// nothing was mounted or `path` is absent. Throws SysError otherwise.
bool unmount_lazily(int dirfd, const std::string& path);

/// Runs `work` with `dirfd` as the current directory of this thread, which has one, and a umask, of
/// its own from then on (CLONE_FS of unshare(2)). For system calls that take paths without a dirfd,
/// or of which a page must hold many.
void run_in_directory(int dirfd, const std::function<void()>& work);

/// True when a process other than this one has its root directory on the file system with device
/// number `filesystem`; with `directory`, when that very inode is its root. Pass `directory` for
/// bind mounts, whose device is that of the file system they show. Costs a few microseconds a
/// process. Blind spots: processes outside the PID namespace that /proc shows, and those whose root
/// may not be looked at (which takes CAP_SYS_PTRACE), and what the kernel starts itself, such as
/// handlers of core dumps; they count as rooted elsewhere. Throws SysError without /proc.
bool any_process_rooted_in(dev_t filesystem, std::optional<ino_t> directory = std::nullopt);

}  // namespace overlayd
