// SPDX-License-Identifier: Apache-2.0
//
// OverlaySpec -> a mounted overlay, by any of the three MountMethods. Which of them this kernel
// takes is core/overlay_support.h. Kernel side: Documentation/filesystems/overlayfs.rst, "Multiple
// lower layers". Functions here keep no state and may run on any thread, at the same time too.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/overlay_support.h"

namespace overlayd {

struct OverlayLayer {
  std::string path;  ///< directory, relative to the home directory; symlinks are followed
  int fd = -1;  ///< if >= 0: an open directory or a detached mount (6.15) instead; LayerFds only
};

struct OverlaySpec {
  std::vector<OverlayLayer> lowers;  ///< nearest first, at least one
  /// Both or neither; neither makes the mount read-only. `work` must be an empty directory on the
  /// file system of `upper`.
  std::optional<OverlayLayer> upper, work;
  std::string mount_label;  ///< SELinux context of all files, or empty
};

/// Mounts `spec` on `target`, an existing directory relative to `home_fd`. The features that would
/// make an upper directory more than a plain layer (index, redirect_dir, metacopy) are off whatever
/// the module's defaults are. The mount's source reads "overlay", as Docker's.
///
/// A read-only spec with one lower becomes a read-only bind mount of it, because overlayfs takes no
/// single lower; a mount label has no effect there. Its device number is that of the store's file
/// system.
///
/// Attaching is the last step: after an error nothing is mounted. Errors name the target, the
/// number of lowers and the kernel's reason. InvalidArgument: no lower, more than
/// support.max_lowers, only one of upper and work, an unusable label, more options than fit a page
/// (Classic), a layer by descriptor where the method takes names. Unsupported: a label although
/// SELinux is off. SysError: the kernel's refusal.
void mount_overlay(int home_fd, const OverlaySpec& spec, const std::string& target,
                   const OverlaySupport& support);

/// Makes a read-only overlay of `lowers` and lets go of it, to see whether the kernel takes the
/// method, which is not Classic. Nothing is written or mounted anywhere. Throws as mount_overlay.
void make_and_drop_overlay(int home_fd, const std::vector<OverlayLayer>& lowers,
                           const OverlaySupport& support);

/// The options of the Classic method, paths escaped as overlayfs unescapes them. Pure; checks
/// nothing.
std::string classic_options(const OverlaySpec& spec, const OverlaySupport& support);

}  // namespace overlayd
