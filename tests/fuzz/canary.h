// SPDX-License-Identifier: Apache-2.0
//
// Canaries: what lies around the directory that a hostile tar is extracted into, and whether it is
// still as it was. Everything is on a tmpfs of this process' own, at a short path that tars can
// name:
//
//   /mnt/canary             a file
//   /mnt/canary.d/file      a file in a directory
//   /mnt/layers/canary      a file beside the layers
//   /mnt/layers/…           the layers
//   /mnt/lower              a layer below: d/e/f, and symlinks s, out and up to directories
#pragma once

#include <string>
#include <vector>

#include "core/unique_fd.h"

namespace overlayd::fuzz {

class CanaryCage {
 public:
  /// Puts the process into a mount namespace of its own and mounts there. Device nodes on it cannot
  /// be opened, nothing on it runs, and it holds at most 64 MiB. Throws SysError without root.
  CanaryCage();

  /// An empty directory below /mnt/layers.
  UniqueFd make_layer(const std::string& name) const;
  void remove_layers() const;
  UniqueFd open_lower() const;

  /// Names, metadata and content of all but what is in the layers. To be taken with the layers
  /// made.
  std::vector<std::string> look() const;

 private:
  UniqueFd root_;
  UniqueFd layers_;
};

}  // namespace overlayd::fuzz
