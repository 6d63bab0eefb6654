// SPDX-License-Identifier: Apache-2.0
//
// How a layer becomes a tar, a list of changes, or a size. All three walk the same thing: the
// merged stack of layers that lie above the parent ("upper side"), beside the merged stack of the
// parent. Nothing is mounted. The tar's rules (order, names, modes, whiteouts) are in
// docs/layers.md.
//
// The layers may change while they are read (a running container). Objects that vanish between
// being listed and being read are an error in the tar: it would be silently incomplete. A
// DiffSource is used by one call at a time; the descriptors keep the layers readable when they are
// unmounted.
#pragma once

#include <cstdint>
#include <optional>

#include "core/change.h"
#include "core/id_map.h"
#include "core/merged_dir.h"
#include "core/observer.h"
#include "core/stream.h"

namespace overlayd {

/// What is compared with what.
struct DiffSource {
  MergedDir upper;                  ///< the layers above the parent
  std::optional<MergedDir> parent;  ///< the parent's stack; nullopt: there is none, or the whole
                                    ///< file system is wanted
  /// Set when `upper` is one layer directly on its parent: its whiteouts then leave as they are,
  /// without asking whether the parent has such a name.
  bool direct = false;
};

/// The whole uncompressed tar. Errors name path and reason; the sink then has an incomplete tar.
/// Sockets are skipped and counted in one note to `observer`, which also hears how many members
/// were sent.
void write_layer_tar(const DiffSource& source, const IdMaps& maps, Observer& observer,
                     ByteSink& sink);

/// In the tar's order: a directory before what is in it, names in byte order. Equals comparing the
/// two merged trees: a name is modified when its type, mode, owner, device number or file
/// capabilities differ, or, for anything but directories, its size or mtime (equal mtime: the same
/// nanosecond, or the same second where one side has none); a directory also when something in it
/// changed. A deleted directory is one entry. Errors name path and reason; the sink then has the
/// changes before it.
void list_changes(const DiffSource& source, const ChangeSink& sink);

/// Bytes in everything but directories that write_layer_tar would carry, each inode once.
int64_t measure(const DiffSource& source);

}  // namespace overlayd
