// SPDX-License-Identifier: Apache-2.0
//
// LayerStore: the one facade over a home directory full of overlay2 layers, and the only class a
// front end needs. What is on disk is drawn in core/layout.h; how a mount is made is
// core/overlay.h; how a tar becomes a layer is core/layer_apply.h; how a layer becomes a tar is
// core/layer_diff.h.
//
// Threads: every method may be called from any thread at any time. Calls on different layers never
// wait for each other except for microseconds; calls on one layer exclude each other only while its
// state changes, never while tar bytes move. No lock is held while reading from a source or writing
// to a sink.
//
// Durability: what create(), remove() and apply_diff() have done when they return survives a power
// cut, unless the config says otherwise. Layers' mounts and what is written to them are no part of
// that.
//
// Errors: every method throws Error (core/error.h) and then has changed nothing, unless it says
// otherwise.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/change.h"
#include "core/durability.h"
#include "core/id_map.h"
#include "core/layer_id.h"
#include "core/mount_method.h"
#include "core/observer.h"
#include "core/store_options.h"
#include "core/stream.h"

namespace overlayd {

struct StoreConfig {
  std::filesystem::path home;        ///< absolute; made if missing
  std::filesystem::path state_dir;   ///< absolute, must exist; holds mount counts across restarts
  std::vector<std::string> options;  ///< the engine's --storage-opt values, "key=value"
  IdMaps id_maps;
  MountMethod mount_method = MountMethod::Auto;
  Durability durability = Durability::Strict;
  bool operator==(const StoreConfig&) const = default;
};

/// Absolute paths, as an engine shows them. `work` and `merged` are named for a layer without a
/// parent too, where they do not exist.
struct LayerMetadata {
  std::filesystem::path upper, work, merged;
  std::vector<std::filesystem::path> lowers;  ///< nearest parent first
};

struct StoreStatus {
  std::string backing_filesystem;  ///< Docker's name for it: "extfs", "xfs", …
  bool supports_d_type = true;
  MountMethod mount_method = MountMethod::Auto;  ///< the one in use, never Auto
  Durability durability = Durability::Strict;
  CommitMethod commit_method = CommitMethod::Targeted;  ///< how, on this file system
  size_t max_lowers = 0;                                ///< layers that may lie below one layer
  size_t layers = 0;
  size_t mounted = 0;
  size_t unfinished = 0;             ///< layers whose ApplyDiff did not finish, and is over
  size_t trash = 0;                  ///< what is removed but not deleted yet
  std::string quota_obstacle;        ///< why layers cannot be limited; empty: they can
  std::vector<std::string> damaged;  ///< ids of the layers that can only be removed, sorted
};

/// A layer's content about to leave as a tar. Made by LayerStore::diff, which has done everything
/// that can fail for reasons of the request. Keeps working when the layer is unmounted meanwhile;
/// fails if it is removed.
class LayerDiff {
 public:
  virtual ~LayerDiff() = default;
  /// Writes the whole uncompressed tar, once. An error leaves the sink with an incomplete tar: the
  /// caller must make that visible to the receiver, never end the stream cleanly.
  virtual void write_to(ByteSink& sink) = 0;
};

/// What changed in a layer, about to be told. Made by LayerStore::changes, as LayerDiff by diff.
class LayerChanges {
 public:
  virtual ~LayerChanges() = default;
  /// Tells `sink` all changes, once. After an error it has only those before it.
  virtual void write_to(const ChangeSink& sink) = 0;
};

class LayerStore {
 public:
  /// Opens (or makes) the store: checks kernel and file system, repairs what a crash left behind,
  /// reads the layer tree and compares recorded mounts with the kernel's mount table. Unmounts only
  /// what was given back before. Throws Error(Unsupported) naming what is missing, also for limits
  /// of layers that the options ask for, InvalidArgument for an unknown option, Busy if another
  /// process has this store open.
  static std::unique_ptr<LayerStore> open(StoreConfig config, Observer& observer);

  /// Ends background work; what is held stays mounted. Leaves a record for the next open(), which
  /// takes as long as to open a store does (core/store_listing.h).
  virtual ~LayerStore() = default;

  virtual const StoreConfig& config() const = 0;

  /// Makes an empty layer on `parent` (null: on nothing). Read-only layers (image layers, build
  /// snapshots) and container layers differ only in that these can have limits
  /// (core/layer_quotas.h), from `options` or the store's. Either stays writable until it gets a
  /// child. AlreadyExists: the id is taken. NotFound: no such parent. Busy: the parent is being
  /// filled. InvalidArgument: too many layers below, or an option that is not known. Unsupported:
  /// limits where there can be none.
  virtual void create(const LayerId& id, const LayerId* parent, const CreateOptions& options) = 0;

  /// Unmounts the layer if it is mounted, and removes it: it is gone when this returns, its space
  /// comes back in the background. An unknown id is a success. Layers that lie on it stay as they
  /// are: an engine that removes one under others does not know those any more. Its files then go
  /// with the last of them, and its id is taken until then. Busy: it is being filled. After an
  /// error the layer is there, but may be unmounted; or it is gone, and the message says that its
  /// removal may not survive a power cut.
  virtual void remove(const LayerId& id) = 0;

  /// The absolute path of the layer's file system, mounted if it needs to be; counted until put().
  /// The same path for as long as it is held. A layer with children is read-only. `mount_label` is
  /// an SELinux context or empty; the first holder's label wins. NotFound: no such layer. Busy:
  /// being filled. Corrupt: its last ApplyDiff did not finish.
  virtual std::filesystem::path get(const LayerId& id, const std::string& mount_label) = 0;

  /// Gives one get() back. At zero the layer is unmounted, unless some process has it as its root
  /// directory: in the background, within a moment, which shows in the mount table only. A put()
  /// without a get(), and one for an unknown layer, are a success.
  virtual void put(const LayerId& id) = 0;

  virtual bool exists(const LayerId& id) const = 0;
  virtual LayerMetadata metadata(const LayerId& id) const = 0;
  virtual StoreStatus status() = 0;

  /// True when nothing is held and no stream is under way, so that the store may be closed for
  /// another.
  virtual bool idle() = 0;

  /// Unmounts layers that are mounted although nobody holds them. Held ones stay. An error leaves
  /// those behind it mounted.
  virtual void cleanup() = 0;

  /// The layer relative to `parent`: its direct parent, any other ancestor, or null for the whole
  /// file system. NotFound / InvalidArgument: no such layer, or not an ancestor.
  virtual std::unique_ptr<LayerDiff> diff(const LayerId& id, const LayerId* parent) = 0;

  /// What changed since `parent` (as for diff); equals comparing the two merged trees. A directory
  /// comes before what is in it, names in byte order.
  virtual std::unique_ptr<LayerChanges> changes(const LayerId& id, const LayerId* parent) = 0;

  /// Bytes in the regular files and symlinks that diff() would carry, each inode once.
  virtual int64_t diff_size(const LayerId& id, const LayerId* parent) const = 0;

  /// Fills an empty layer from an uncompressed tar, reads the source to its end, and returns
  /// diff_size(id, direct parent). All or nothing: after an error the layer holds no content and
  /// takes only remove(). `parent` must be the layer's parent or null. Busy: mounted, being filled,
  /// or has children. InvalidArgument: it has content already. BadArchive: the tar; the message
  /// names the entry and its offset.
  virtual int64_t apply_diff(const LayerId& id, const LayerId* parent, ByteSource& source) = 0;
};

}  // namespace overlayd
