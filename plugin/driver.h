// SPDX-License-Identifier: Apache-2.0
//
// Driver: one method per endpoint of the protocol, each a single call of the layer store. It owns
// the store that is served, and remembers the last Init so that a restarted process needs none.
//
// Threads: every method may be called from any thread at any time; init() lets calls under way end
// before it changes the store, and calls that come meanwhile wait for it.
//
// Errors: as the store's; Error(Busy) from every call that needs a store while there is none,
// saying why.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <shared_mutex>

#include "core/error.h"
#include "core/layer_store.h"
#include "plugin/log.h"
#include "plugin/metrics.h"
#include "plugin/protocol.h"
#include "plugin/state_dir.h"
#include "plugin/store_observer.h"

namespace overlayd {

class Driver {
 public:
  using OpenStore = std::function<std::unique_ptr<LayerStore>(StoreConfig, Observer&)>;

  /// `state`, `metrics` and `log` must outlive the driver.
  Driver(StateDir& state, MountMethod mount_method, Durability durability, OpenStore open_store,
         Metrics& metrics, Log& log);

  /// Opens the store of the last successful Init, if there was one. Makes no home. A failure is
  /// logged, and is what calls answer with until an Init succeeds.
  void resume() noexcept;

  /// The same as before: changes nothing. Something else: takes the place of a store that is idle;
  /// Error(Busy) otherwise. If it cannot be opened, what was served before is served again.
  /// Ends the process, unanswered, if the engine would not see its mounts (plugin/propagation.h).
  EmptyReply init(const InitRequest& request);

  /// The Init of a caller that had no answer from an earlier process, and sends nothing the second
  /// time: good if that process kept it. Error(InvalidArgument) unless resume() opened the store
  /// that is served.
  EmptyReply repeat_init() const;

  ActivateReply activate() const { return {}; }
  CapabilitiesReply capabilities() const { return {}; }
  EmptyReply create(const CreateRequest& request);
  EmptyReply create_read_write(const CreateRequest& request);
  EmptyReply remove(const LayerRequest& request);
  GetReply get(const GetRequest& request);
  EmptyReply put(const LayerRequest& request);
  ExistsReply exists(const LayerRequest& request);
  StatusReply status();  ///< without a store: says so in a row
  MetadataReply metadata(const LayerRequest& request);
  EmptyReply cleanup();  ///< without a store: nothing to do
  /// The store stays open for as long as the answer of these two is kept.
  std::unique_ptr<LayerDiff> diff(const DiffRequest& request);
  std::unique_ptr<LayerChanges> changes(const DiffRequest& request);
  SizeReply apply_diff(const DiffRequest& request, ByteSource& source);
  SizeReply diff_size(const DiffRequest& request);

  /// What the store says of itself; none while there is none, or while init() opens one: this waits
  /// for nothing.
  std::optional<StoreStatus> store_status() const;

 private:
  // The store, and the assurance that it is not exchanged for as long as this lives.
  struct Use {
    std::shared_lock<std::shared_mutex> lock;
    LayerStore& store;
    LayerStore* operator->() const { return &store; }
  };

  Use use();
  EmptyReply create_layer(const CreateRequest& request, bool is_writable);
  void take(const InitRequest& request);
  bool settled(const InitRequest& request) const;
  void exchange(const InitRequest& request);
  void open(const InitRequest& request);
  void try_open(const InitRequest& request) noexcept;
  void load_last_init();

  StateDir& state_;
  const MountMethod mount_method_;
  const Durability durability_;
  const OpenStore open_store_;
  Log& log_;
  StoreObserver observer_;

  mutable std::shared_mutex gate_;      ///< guards the rest: shared by calls, exclusive to init
  std::shared_ptr<LayerStore> store_;   ///< shared with diffs being sent; null: see unavailable_
  std::optional<InitRequest> serving_;  ///< what store_ was opened for
  bool resumed_ = false;                ///< serving_ is from resume(), not from an Init
  Error unavailable_;                   ///< why there is no store
};

}  // namespace overlayd
