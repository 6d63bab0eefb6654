// SPDX-License-Identifier: Apache-2.0
//
// How a layer tar becomes a directory tree: types, owners, modes, xattrs, times, and tar whiteouts
// turned into overlay's. Rules: docs/layers.md. Nothing is ever made or changed outside the given
// directory, whatever the tar says: parents are opened by core/layer_directories.h, objects are
// made relative to their parent's descriptor and never through a symlink in the last component.
#pragma once

#include <cstdint>

#include "core/commit.h"
#include "core/id_map.h"
#include "core/layer_directories.h"
#include "core/stream.h"
#include "core/tar_read_ahead.h"
#include "core/unique_fd.h"

namespace overlayd {

struct Applied {
  int64_t size = 0;      ///< bytes in everything but directories, each inode once
  uint64_t entries = 0;  ///< members of the tar
};

/// How a tar is applied.
struct ApplyOptions {
  OpenLower open_lower = {};  ///< the layers below
  Commit commit = Commit();   ///< what it must have of the files' data is on the disk then
  UniqueFd digests = {};      ///< an empty file, to record in it what was made
  ReadAheadReserve* reserve = nullptr;  ///< shared with the streams that are read meanwhile
};

/// Extracts the tar in `source` into the directory `root`, which nobody else touches meanwhile, and
/// reads `source` to its clean end. Digests are as core/layer_digests.h says. The calling thread's
/// umask must be 0, as core/confinement.h has it.
///
/// Throws Error naming the entry and its offset in the stream, the directory then holds a part of
/// the layer: BadArchive for what the tar says, NoSpace, InvalidArgument for an owner outside
/// `maps`, Unsupported for an xattr that the file system cannot hold, and whatever `source` throws.
Applied apply_layer_tar(int root, const IdMaps& maps, ByteSource& source,
                        ApplyOptions options = {});

}  // namespace overlayd
