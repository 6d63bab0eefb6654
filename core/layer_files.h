// SPDX-License-Identifier: Apache-2.0
//
// LayerFiles: the small files that make a directory a layer (see core/layout.h), read and written.
// Knows nothing of mounts, counts or other layers' state. Any thread; the caller serialises changes
// to one layer.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/commit.h"
#include "core/id_map.h"
#include "core/layer_id.h"

namespace overlayd {

/// What a layer's own files say.
struct LayerRecord {
  std::string link;
  std::string lower;  ///< the text of its `lower`; empty: no parent
  bool committed = false;
  bool removed = false;         ///< there only for the layers that lie on it
  bool partial = false;         ///< an ApplyDiff is under way or did not finish
  std::optional<int64_t> size;  ///< of its content; only of a committed layer
  bool has_digests = false;     ///< there is a record of what an ApplyDiff has filled it with

  /// The links in `lower`, nearest parent first.
  std::vector<std::string> lowers() const;
};

/// Owners and modes of what the store makes, from the id maps and the process.
struct LayerOwner {
  uid_t root_uid = 0;  ///< container root on disk
  gid_t root_gid = 0;
};

/// What lies in a layer's directory, whatever state it is in.
struct LayerContents {
  bool diff = false, work = false, merged = false, committed = false, removed = false;
  bool partial = false, has_size = false, has_digests = false;
  std::vector<std::string> unfinished;     ///< names of files that were never renamed into place
  std::optional<std::string> link, lower;  ///< as they are; empty when they are too long to be ours
  std::optional<int64_t> size;             ///< nullopt also when what is there is not whole
  bool operator==(const LayerContents&) const = default;
};

/// Reads <id>/… below `home`, and changes nothing; nullopt for a directory that is no layer.
/// SysError when something cannot be read.
std::optional<LayerContents> read_layer(int home, const LayerId& id);

/// Makes a complete empty layer as <home>/<directory>, somewhere outside the layers' own names,
/// with its files' data as `commit` must have it. `prepare` gets the directory, open for reading,
/// before anything is in it. Leaves what it made on failure: staging is swept by its owner.
void stage_layer(int home, const std::string& directory, const LayerRecord& record,
                 const LayerOwner& owner, Commit commit,
                 const std::function<void(int directory)>& prepare = {});

/// Makes the directory that holds a layer's content, with the mode and owner that an empty one has.
void make_content_directory(int dirfd, const std::string& name, const LayerOwner& owner);

/// Makes a directory 0700 that container root owns (work, merged). True when it was not there.
bool make_private_directory(int dirfd, const std::string& name, const LayerOwner& owner);

/// Marks the layer as a parent. True when it was not marked before.
bool mark_committed(int home, const LayerId& id);
/// Takes the record of its size away first: it counts only for a layer that is committed for good.
void unmark_committed(int home, const LayerId& id);

/// Marks a layer that others lie on as removed. Takes no space if it is marked as committed.
void mark_removed(int home, const LayerId& id);

/// Records the size of a committed layer's content.
void record_size(int home, const LayerId& id, int64_t size);

}  // namespace overlayd
