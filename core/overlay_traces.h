// SPDX-License-Identifier: Apache-2.0
//
// What overlayfs leaves in an upper directory when it is mounted with options that overlayd keeps
// off (core/overlay.h), and by whom it is mounted: content that lies in another layer, under
// another name. Docker's own driver takes these options as the kernel module has them. Any thread.
#pragma once

#include "core/layer_id.h"

namespace overlayd {

/// Looks at every file of a layer that an overlay has written to, which its work directory shows:
/// throws Error(Unsupported) that names a directory renamed under redirect_dir=on, a file copied up
/// under metacopy=on, or one marked in a user namespace. Layers that were never an upper directory
/// have none, and are not read. SysError when something cannot be read.
void check_overlay_traces(int home, const LayerId& id);

}  // namespace overlayd
