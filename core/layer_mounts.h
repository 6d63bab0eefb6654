// SPDX-License-Identifier: Apache-2.0
//
// LayerMounts: shows layers as file systems, counts who holds them, and takes them down again. The
// kernel says what is mounted, the ledger how often it is held; both outlive the process. Nothing
// that somebody else has mounted is touched, but in the way of a removal.
//
// Threads: any, with the lock of the layer that is given, to which hold() takes those of layers
// below; adopt() before there are others. Errors: SysError of the kernel, Error(Unsupported) when
// the home is hidden by another mount.
#pragma once

#include <sys/stat.h>

#include <filesystem>
#include <memory>
#include <string>

#include "core/layer_files.h"
#include "core/layer_table.h"
#include "core/mount_drain.h"
#include "core/mount_ledger.h"
#include "core/observer.h"
#include "core/overlay.h"
#include "core/overlay_support.h"
#include "core/unheld_mounts.h"
#include "core/unique_fd.h"

namespace overlayd {

class LayerMounts {
 public:
  /// `home_fd`, open on `home`, and `observer` must outlive this. Its end unmounts what is leaving.
  LayerMounts(std::filesystem::path home, int home_fd, const std::filesystem::path& state_dir,
              OverlaySupport overlay, LayerOwner owner, Observer& observer);

  /// Which of the layers are mounted, and how often they are held, as an earlier process left it.
  /// What that was about to unmount this does.
  void adopt(const LayerTable& table);

  /// LayerStore::get for a layer that is usable.
  std::filesystem::path hold(Layer& layer, const std::string& mount_label);

  /// LayerStore::put. After an error nothing was given back. A mounted layer that nobody holds any
  /// more is leaving: unmounted a moment later, if nobody wants it by then.
  void let_go(const std::shared_ptr<Layer>& layer);

  /// Unmounts the layer now if it is leaving. It stays mounted if it is in use, or if that fails.
  void finish_letting_go(Layer& layer);
  /// The same for all layers. Takes their locks.
  void finish_letting_go();

  /// Takes the layer down if it is mounted although nobody holds it.
  void release_unheld(Layer& layer);

  /// Takes down whatever is mounted in the layer's place, by whomever and however often it is held.
  void clear(Layer& layer);

  /// Waits until no file system that was taken down is alive any more. Needs no lock.
  void settle();

 private:
  static bool can_stay(const Layer& layer, const std::string& mount_label);
  UniqueFd visible_home() const;
  void notice_foreign_unmount(Layer& layer, int home);
  static void let_write(Layer& layer);
  void mount(Layer& layer, const std::string& mount_label);
  std::string lower_path(const Layer& lower) const;
  OverlaySpec overlay_spec(const Layer& layer, const std::string& mount_label) const;
  void wait_for_unmounts(const Layer& layer);
  static bool is_someones_root(const Layer& layer, int home);
  void unmount_unless_in_use(Layer& layer, int home);
  void unmount(Layer& layer, int home);
  bool remove_mount_point(const std::string& merged) const;

  const std::filesystem::path home_path_;
  const int home_;
  const struct stat home_info_;
  const OverlaySupport overlay_;
  const LayerOwner owner_;
  Observer& observer_;
  MountLedger ledger_;
  MountDrain drain_;
  UnheldMounts unheld_;  // last: its thread uses everything above
};

}  // namespace overlayd
