// SPDX-License-Identifier: Apache-2.0
//
// MountLedger: how many holders each mounted layer has, kept in the state directory so that a
// restart or kill -9 of this process forgets none. One small file per mounted layer:
//
//   <state-dir>/mounts/<id>     decimal count and a newline, 11 bytes, rewritten in place by one
//   write
//
// It need not survive a power cut, after which nothing is mounted: the kernel's mount table has the
// last word on whether a layer is mounted, the ledger only on how often. The caller serialises
// calls for one id; different ids may be written at once.
#pragma once

#include <filesystem>
#include <map>

#include "core/layer_id.h"
#include "core/unique_fd.h"

namespace overlayd {

/// What is recorded in `state_dir`; nothing where nothing ever was. Only reads, so it may be asked
/// beside the process that keeps the ledger. A record cut short by a kill counts as one holder.
std::map<LayerId, unsigned> read_mount_ledger(const std::filesystem::path& state_dir);

class MountLedger {
 public:
  explicit MountLedger(const std::filesystem::path& state_dir);

  /// As read_mount_ledger().
  std::map<LayerId, unsigned> load() const;

  void record(const LayerId& id, unsigned holders);
  /// Never fails: a record that stays behind means nothing once its layer is not mounted.
  void forget(const LayerId& id) noexcept;

 private:
  UniqueFd directory_;
};

}  // namespace overlayd
