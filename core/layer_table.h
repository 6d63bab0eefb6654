// SPDX-License-Identifier: Apache-2.0
//
// LayerTable: what the store knows of its layers in memory: the tree of parents, and each layer's
// state. Loading it from disk repairs what can be derived and reports what cannot; the table of
// states found and actions taken is in docs/on-disk-layout.md.
//
// Threads: the table is safe to use from any thread. A Layer's constant members need no lock, the
// others are guarded by its mutex. Lock order: a claim before a layer, a layer before its parent,
// any layer before the table.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "core/layer_id.h"
#include "core/observer.h"
#include "core/store_survey.h"

namespace overlayd {

/// Keeps track of whether a layer's content may change. What was handed out and not seen to come
/// back counts as in use for good.
class Writers {
 public:
  /// The content is handed out to be written to, if it is not already.
  void begin() {
    if (!std::exchange(active_, true)) ++begun_;
  }
  /// It has come back.
  void end() {
    if (std::exchange(active_, false)) ++ended_;
  }
  /// It was taken away from us; whoever has it may go on.
  void lose_sight() { active_ = false; }

  /// It is handed out now, as far as is known.
  bool active() const { return active_; }
  bool none() const { return begun_ == ended_; }
  /// The same number twice: nobody began in between.
  unsigned begun() const { return begun_; }

 private:
  bool active_ = false;
  unsigned begun_ = 0, ended_ = 0;
};

struct Layer {
  Layer(LayerId layer_id, std::string link_name, std::shared_ptr<Layer> parent_layer,
        std::string what_is_damaged = {});

  const LayerId id;
  const std::string link;               ///< empty only in a damaged layer
  const std::shared_ptr<Layer> parent;  ///< null: lies on nothing
  const size_t depth;                   ///< number of layers below
  const std::string damage;             ///< not empty: only remove is possible, and this is why

  std::mutex mutex;
  std::condition_variable filled;  ///< signalled when `filling` ends
  bool removed = false;            ///< whoever still points here came too late
  bool lingers = false;            ///< removed, but on disk for the layers that lie on it
  bool committed = false;          ///< has or had a child: read-only
  bool filling = false;            ///< an ApplyDiff is running
  bool unfinished = false;         ///< an ApplyDiff failed or was cut off: only remove is possible
  bool mounted = false;            ///< as far as we did it or the kernel told us
  std::optional<std::string> mount_label;  ///< of the mount, if that is known
  unsigned holders = 0;                    ///< get() minus put()
  bool leaving = false;                    ///< given back, and unmounted if nobody comes soon
  size_t children = 0;
  Writers writers;
  std::optional<int64_t> size;  ///< diff_size on its parent; only while nobody can have written
  bool size_recorded = false;   ///< on disk as well
  bool has_digests = false;     ///< on disk: what its ApplyDiff made; only while as for `size`

  /// This layer and all below it, nearest first.
  std::vector<const Layer*> chain() const;
  /// The links of chain().
  std::vector<std::string> links() const;
};

class LayerTable {
 public:
  /// While one lives there is no other for the same id.
  class Claim {
   public:
    ~Claim();
    Claim(const Claim&) = delete;
    Claim& operator=(const Claim&) = delete;

   private:
    friend LayerTable;
    Claim(LayerTable& table, std::string id) : table_(table), id_(std::move(id)) {}
    LayerTable& table_;
    const std::string id_;
  };
  /// For who makes a layer: whoever makes one of the same id meanwhile waits, and then finds it in
  /// the table, or not.
  [[nodiscard]] Claim claim(const LayerId& id);

  /// Surveys `home`, mends what core/store_survey.h can, and notes what it mended or could not.
  /// Layers that were removed are known only to those that lie on them; returns the ones of which
  /// it is certain that nothing lies on them any more, each before its parent.
  std::vector<std::shared_ptr<Layer>> load(int home, Observer& observer);

  std::shared_ptr<Layer> find(const LayerId& id) const;
  /// The same for a name found on disk, which need not be a valid id.
  std::shared_ptr<Layer> find(const std::string& name) const;
  void insert(std::shared_ptr<Layer> layer);
  /// Only if it is this very object that the table has.
  void erase(const std::shared_ptr<Layer>& layer);
  std::vector<std::shared_ptr<Layer>> all() const;
  size_t size() const;

 private:
  static std::shared_ptr<Layer> make_layer(const SurveyedLayer& found,
                                           std::shared_ptr<Layer> parent);

  mutable std::shared_mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<Layer>> layers_;  // by id; guarded by mutex_

  std::mutex claims_mutex_;
  std::condition_variable claim_ended_;
  std::unordered_set<std::string> claimed_;  // ids
};

}  // namespace overlayd
