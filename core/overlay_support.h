// SPDX-License-Identifier: Apache-2.0
//
// What overlayfs of this kernel can do on the file system that holds the store, found out by doing
// it. Probing belongs into start-up: it makes and removes a small tree and mounts a few times
// (milliseconds).
#pragma once

#include <cstddef>
#include <string>

#include "core/mount_method.h"

namespace overlayd {

/// OVL_MAX_STACK of fs/overlayfs: no kernel takes more lower layers.
inline constexpr size_t kMaxLowers = 500;
/// What Docker's driver allows: with links of 28 bytes each, as many as a page of options surely
/// holds.
inline constexpr size_t kMaxClassicLowers = 128;

/// Immutable after the probe; share freely.
struct OverlaySupport {
  MountMethod method = MountMethod::Classic;  ///< never Auto
  size_t max_lowers = kMaxClassicLowers;      ///< of that method
  /// Whether the kernel knows these options, so that they can be turned off whatever the defaults
  /// of the module are: 4.13, 4.10, 4.19.
  bool index_option = false;
  bool redirect_dir_option = false;
  bool metacopy_option = false;
  bool operator==(const OverlaySupport&) const = default;
};

/// Tries everything a store needs from overlayfs in a directory of its own below `scratch_dirfd`,
/// which must be writable and on the file system of the store. Auto takes the first method that
/// works of LayerFds, LayerNames and Classic; any other `wanted` is tried alone. Leaves nothing
/// behind, also on failure. One caller at a time per scratch directory.
///
/// Throws Error(Unsupported) with a sentence that tells an operator what to do: no overlayfs, no
/// privilege to mount, a file system without trusted xattrs, device nodes, d_type or the ability to
/// be an upper layer, a kernel without the wanted method, directory renames that cannot be turned
/// off. Throws SysError for what may be otherwise next time (EIO, want of descriptors, memory or
/// space): it never makes do with a lesser method for such a reason.
OverlaySupport probe_overlay(int scratch_dirfd, MountMethod wanted);

/// For a store whose disk has no room for that: finds out which method the kernel takes, by
/// overlays of two directories below `home`, and takes the rest on trust. Writes nothing.
OverlaySupport probe_overlay_on_full_disk(int home, const std::string& one,
                                          const std::string& other, MountMethod wanted);

}  // namespace overlayd
