// SPDX-License-Identifier: Apache-2.0
//
// Commit: how a change to the store is made to survive a power cut. Two ways:
//
//   targeted  ext4 with a journal, xfs. The data of each new file is written back and waited for;
//             then fsync(2) of one directory that was changed last. Names, sizes and attributes go
//             through the file system's one journal in order, so what was changed before is
//             committed with it, and the flush of the disk's cache that ends the commit takes the
//             data along. Callers at the same time share a commit. Nobody else's data is waited
//             for.
//   syncfs    any other file system, which need not have such an order: syncfs(2), before a new
//             name is shown and behind it.
//
// Linux Documentation/filesystems/ext4/journal.rst; fs/xfs/xfs_log_cil.c; sync_file_range(2): "none
// of these operations writes out the file's metadata", which is what the fsync is for.
#pragma once

#include <string>

#include "core/durability.h"
#include "core/observer.h"

namespace overlayd {

struct CommitChoice {
  CommitMethod method;
  std::string reason;  ///< why it is this one, to be put in brackets behind it
};

/// What `durability` takes on the file system of the open file `fd`. Targeted only where the file
/// system is seen to allow it (its journal shows in /sys, its options in /proc). Any thread.
CommitChoice choose_commit_method(Durability durability, int fd);

/// A plain value; any thread.
class Commit {
 public:
  /// `observer`, if there is one, must outlive this and hears of every wait for the disk.
  explicit Commit(CommitMethod method = CommitMethod::None, Observer* observer = nullptr)
      : method_(method), observer_(observer) {}
  CommitMethod method() const { return method_; }

  /// True when a commit needs the data of files to be written before.
  bool needs_data() const { return method_ == CommitMethod::Targeted; }

  /// Begins to write the data of an open file; does not wait, except for a disk with a full queue.
  static void start_writing(int file);
  /// Returns when the data of an open file has been written. Throws SysError if some could not be,
  /// now or since the file was opened.
  static void finish_writing(int file);

  /// Before a rename shows what was made in the same file system as the open `directory`: returns
  /// when no power cut can leave the new name without what it names. Nothing to do where the
  /// journal keeps that order. Throws SysError.
  void before_showing(int directory) const;

  /// Returns when every change before it survives: all that was made in the file system, of files'
  /// data (with needs_data()) what finish_writing() has returned for. `directory` is open, and the
  /// latest change was to a name in it. Throws SysError: nobody knows what survives.
  void operator()(int directory) const;

 private:
  template <typename Sync>
  void timed(const Sync& sync) const;

  CommitMethod method_;
  Observer* observer_;
};

}  // namespace overlayd
