// SPDX-License-Identifier: Apache-2.0
#include "core/layer_store.h"

#include <fcntl.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <map>
#include <optional>

#include "core/commit.h"
#include "core/confinement.h"
#include "core/error.h"
#include "core/filesystem.h"
#include "core/layer_apply.h"
#include "core/layer_diff.h"
#include "core/layer_files.h"
#include "core/layer_mounts.h"
#include "core/layer_quotas.h"
#include "core/layer_table.h"
#include "core/layout.h"
#include "core/overlay_support.h"
#include "core/scope_exit.h"
#include "core/store_listing.h"
#include "core/store_lock.h"
#include "core/store_options.h"
#include "core/sys.h"
#include "core/trash.h"

namespace overlayd {
namespace {

/// How long remove() waits for an ApplyDiff on the layer to notice that its sender is gone.
constexpr std::chrono::seconds kFillingPatience{10};

// What the layers that are being filled may hold in memory together beyond the least each needs:
// 6 MiB. With it a layer alone takes up to a tenth less time.
constexpr size_t kReadAheadPieces = 48;

/// For certain.
bool is_absent(int dirfd, const std::string& path) {
  return ::faccessat(dirfd, path.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT;
}

class OverlayLayerStore final : public LayerStore {
 public:
  OverlayLayerStore(StoreConfig config, Observer& observer);
  ~OverlayLayerStore() override;
  OverlayLayerStore(const OverlayLayerStore&) = delete;
  OverlayLayerStore& operator=(const OverlayLayerStore&) = delete;

  const StoreConfig& config() const override { return config_; }
  void create(const LayerId& id, const LayerId* parent, const CreateOptions& options) override;
  void remove(const LayerId& id) override;
  std::filesystem::path get(const LayerId& id, const std::string& mount_label) override;
  void put(const LayerId& id) override;
  bool exists(const LayerId& id) const override { return table_.find(id) != nullptr; }
  LayerMetadata metadata(const LayerId& id) const override;
  StoreStatus status() override;
  bool idle() override;
  void cleanup() override;
  std::unique_ptr<LayerDiff> diff(const LayerId& id, const LayerId* parent) override;
  std::unique_ptr<LayerChanges> changes(const LayerId& id, const LayerId* parent) override;
  int64_t diff_size(const LayerId& id, const LayerId* parent) const override;
  int64_t apply_diff(const LayerId& id, const LayerId* parent, ByteSource& source) override;

 private:
  using LayerPtr = std::shared_ptr<Layer>;
  using Lock = std::unique_lock<std::mutex>;

  // Opening.
  void make_directories();
  void choose_mount_method();
  void choose_commit();
  void sweep_staging();

  // Looking up. `usable` throws unless the layer can serve everything; call with its lock held.
  LayerPtr require(const LayerId& id) const;
  static void check_usable(const Layer& layer);
  std::filesystem::path path_of(const LayerId& id, const char* name) const {
    return config_.home / id.str() / name;
  }

  // Creating.
  bool adopt_child(Layer& parent);
  void disown_child(LayerPtr parent, bool marked) noexcept;
  void make_writable(Layer& layer) noexcept;
  void publish(const LayerId& id, const std::string& staged);

  // Removing.
  void bury(const Layer& layer) noexcept;
  void unlink_name(const Layer& layer) noexcept;

  // Getting.
  void drop_digests(Layer& layer) const;

  // Streams.
  UniqueFd open_content(const Layer& layer) const;
  MergedDir open_stack(const Layer& nearest) const;
  DiffSource open_source(Layer& layer, const LayerId* parent) const;
  DiffSource open_unchecked(const Layer& layer, const LayerId* parent) const;
  static void check_not_removed(const Layer& layer);
  int64_t size_on_parent(Layer& layer, const LayerId* parent) const;
  int64_t record_size(Layer& layer, int64_t size) const;
  bool begin_filling(Layer& layer, const LayerId* parent);
  Applied fill(const Layer& layer, ByteSource& source, bool record);
  void publish_content(const LayerId& id);
  void take_content_back(const LayerId& id) noexcept;
  void finish_filling(Layer& layer, int64_t size);
  void abandon_filling(Layer& layer) noexcept;

  class Reading;
  class Diff;
  class Changes;

  const StoreConfig config_;
  Observer& observer_;
  const StoreOptions options_;
  LayerOwner owner_;
  UniqueFd home_;
  UniqueFd lock_;
  std::optional<LayerQuotas> quotas_;
  Commit commit_;
  OverlaySupport overlay_;
  LayerTable table_;
  std::optional<LayerMounts> mounts_;
  ReadAheadReserve read_ahead_{kReadAheadPieces};
  mutable std::atomic<size_t> streams_ = 0;
  std::optional<Trash> trash_;
};

// --------------------------------------------------------------------------------------- opening

OverlayLayerStore::OverlayLayerStore(StoreConfig config, Observer& observer)
    : config_(std::move(config)),
      observer_(observer),
      options_(parse_store_options(config_.options)),
      owner_{config_.id_maps.root_uid(), config_.id_maps.root_gid()} {
  make_directories();
  lock_ = lock_store(home_.get());
  quotas_.emplace(home_.get(), options_.projects);
  if (options_.limits.any()) quotas_->require();
  choose_mount_method();
  mounts_.emplace(config_.home, home_.get(), config_.state_dir, overlay_, owner_, observer_);
  choose_commit();
  trash_.emplace(sys::open_path_dir(home_.get(), layout::kTrashDirectory), observer_);
  sweep_staging();
  for (const LayerPtr& layer : table_.load(home_.get(), observer_)) bury(*layer);
  mounts_->adopt(table_);
}

// The next start takes longer without the record, and no more.
OverlayLayerStore::~OverlayLayerStore() {
  mounts_.reset();  // what is given back is unmounted with it
  try {
    record_listing(home_.get(), std::chrono::system_clock::now());
  } catch (const std::exception& error) {
    observer_.note(NoteLevel::Info,
                   std::string("cannot record what the layers' files say: ") + error.what());
  }
}

void OverlayLayerStore::make_directories() {
  if (!config_.home.is_absolute()) {
    throw Error(ErrorKind::InvalidArgument,
                "home " + quoted(config_.home.string()) + " is not absolute");
  }
  std::error_code error;
  std::filesystem::create_directories(config_.home, error);
  if (error) throw SysError(error.value(), "make the home directory");
  home_ = sys::openat(AT_FDCWD, config_.home.string(), O_RDONLY | O_DIRECTORY);
  sys::fchown(home_.get(), ::geteuid(), owner_.root_gid);
  sys::fchmod(home_.get(), 0710);
  for (const char* directory : {layout::kLinkDirectory, layout::kOwnDirectory,
                                layout::kStagingDirectory, layout::kTrashDirectory}) {
    sys::mkdirat(home_.get(), directory, 0700);
  }
}

// On a full disk too: whoever has one must be able to remove layers.
void OverlayLayerStore::choose_mount_method() {
  try {
    overlay_ = probe_overlay(sys::open_path_dir(home_.get(), layout::kStagingDirectory).get(),
                             config_.mount_method);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::NoSpace) throw;
    observer_.note(NoteLevel::Warning,
                   std::string("overlayfs was not tried out, for want of space: ") + error.what());
    overlay_ = probe_overlay_on_full_disk(home_.get(), layout::kLinkDirectory,
                                          layout::kTrashDirectory, config_.mount_method);
  }
}

void OverlayLayerStore::choose_commit() {
  const CommitChoice choice = choose_commit_method(config_.durability, home_.get());
  commit_ = Commit(choice.method, &observer_);
  observer_.note(NoteLevel::Info, "durability " + std::string(to_string(config_.durability)) +
                                      ": commit method " + std::string(to_string(choice.method)) +
                                      " (" + choice.reason + ")");
}

void OverlayLayerStore::sweep_staging() {
  const UniqueFd staging = sys::open_path_dir(home_.get(), layout::kStagingDirectory);
  for (const sys::DirEntry& entry : sys::list_directory(staging.get())) {
    trash_->take(staging.get(), entry.name);
    observer_.note(NoteLevel::Info, "swept an unfinished layer out of staging");
  }
}

// ------------------------------------------------------------------------------------ looking up

OverlayLayerStore::LayerPtr OverlayLayerStore::require(const LayerId& id) const {
  if (LayerPtr layer = table_.find(id)) return layer;
  throw Error(ErrorKind::NotFound, "there is no " + layer_name(id));
}

void OverlayLayerStore::check_usable(const Layer& layer) {
  const std::string name = layer_name(layer.id);
  if (layer.removed) throw Error(ErrorKind::NotFound, "there is no " + name);
  if (!layer.damage.empty()) {
    throw Error(ErrorKind::Corrupt, name + " is damaged and can only be removed: " + layer.damage);
  }
  if (layer.filling) throw Error(ErrorKind::Busy, name + " is being filled by an ApplyDiff");
  if (layer.unfinished) {
    throw Error(ErrorKind::Corrupt, name + " can only be removed: its ApplyDiff did not finish");
  }
}

LayerMetadata OverlayLayerStore::metadata(const LayerId& id) const {
  const LayerPtr layer = require(id);
  LayerMetadata metadata{.upper = path_of(id, layout::kDiff),
                         .work = path_of(id, layout::kWork),
                         .merged = path_of(id, layout::kMerged),
                         .lowers = {}};
  for (const Layer* below = layer->parent.get(); below != nullptr; below = below->parent.get()) {
    metadata.lowers.push_back(path_of(below->id, layout::kDiff));
  }
  return metadata;
}

StoreStatus OverlayLayerStore::status() {
  mounts_->finish_letting_go();
  StoreStatus status{.backing_filesystem = filesystem_name(home_.get()),
                     .supports_d_type = true,  // probe_overlay refuses to start without
                     .mount_method = overlay_.method,
                     .durability = config_.durability,
                     .commit_method = commit_.method(),
                     .max_lowers = overlay_.max_lowers,
                     .layers = 0,
                     .mounted = 0,
                     .unfinished = 0,
                     .trash = trash_->waiting(),
                     .quota_obstacle = obstacle_to_limits(home_.get()).value_or(""),
                     .damaged = {}};
  for (const LayerPtr& layer : table_.all()) {
    const Lock lock(layer->mutex);
    ++status.layers;
    if (layer->mounted) ++status.mounted;
    if (layer->unfinished && !layer->filling) ++status.unfinished;
    if (!layer->damage.empty()) status.damaged.push_back(layer->id.str());
  }
  std::ranges::sort(status.damaged);
  return status;
}

bool OverlayLayerStore::idle() {
  mounts_->finish_letting_go();
  if (streams_ > 0) return false;
  for (const LayerPtr& layer : table_.all()) {
    const Lock lock(layer->mutex);
    if (layer->mounted || layer->holders > 0 || layer->filling) return false;
  }
  return true;
}

// ---------------------------------------------------------------------------- creating, removing

void OverlayLayerStore::create(const LayerId& id, const LayerId* parent_id,
                               const CreateOptions& options) {
  trash_->make_way();
  const QuotaLimits limits = parse_create_options(options, options_);
  if (limits.any()) quotas_->require();
  // "exists already" is an answer, too: it must survive.
  const LayerTable::Claim claim = table_.claim(id);
  if (table_.find(id)) throw Error(ErrorKind::AlreadyExists, layer_name(id) + " exists already");
  const LayerPtr parent = parent_id ? require(*parent_id) : nullptr;
  if (parent && parent->depth + 1 > overlay_.max_lowers) {
    throw Error(ErrorKind::InvalidArgument,
                "max depth exceeded: " + layer_name(id) + " would lie on " +
                    std::to_string(parent->depth + 1) + " layers, and no more than " +
                    std::to_string(overlay_.max_lowers) + " can be mounted");
  }
  const std::string link = layout::random_link();
  const std::string staged = std::string(layout::kStagingDirectory) + "/" + layout::random_name();
  const std::string* made = &staged;
  const auto take_back = [&] {
    try {
      trash_->take(home_.get(), *made);
      return true;
    } catch (const Error& error) {
      observer_.note(NoteLevel::Warning,
                     "left a layer half made behind: " + std::string(error.what()));
      return false;
    }
  };
  ScopeExit unmake([&] { take_back(); });
  LayerRecord record;
  record.link = link;
  if (parent) record.lower = layout::format_lower(parent->links());
  stage_layer(home_.get(), staged, record, owner_, commit_, [&](int directory) {
    if (limits.any()) quotas_->limit(directory, limits);
  });

  const bool marked = parent && adopt_child(*parent);
  ScopeExit disown([&] { disown_child(parent, marked); });
  sys::symlinkat(layout::link_target(id), home_.get(), layout::link_path(link));
  ScopeExit unlink([&] { ::unlinkat(home_.get(), layout::link_path(link).c_str(), 0); });
  const LayerPtr layer = std::make_shared<Layer>(id, link, parent);
  publish(id, staged);  // commit point, unless it cannot be made to last, but taken back
  made = &id.str();
  std::exception_ptr error;
  try {
    commit_(home_.get());
    table_.insert(layer);
  } catch (...) {
    if (take_back()) throw;
    error = std::current_exception();
    table_.insert(layer);  // it is there
  }
  unmake.dismiss();
  unlink.dismiss();
  disown.dismiss();
  if (error) std::rethrow_exception(error);
}

// From here on the parent is read-only and stays on disk. True when that is new to it.
bool OverlayLayerStore::adopt_child(Layer& parent) {
  const Lock lock(parent.mutex);
  check_usable(parent);
  const bool marked = !parent.committed && mark_committed(home_.get(), parent.id);
  parent.committed = true;
  ++parent.children;
  return marked;
}

void OverlayLayerStore::publish(const LayerId& id, const std::string& staged) {
  try {
    sys::renameat(home_.get(), staged, home_.get(), id.str(), RENAME_NOREPLACE);
  } catch (const SysError& error) {
    if (error.errnum() != EEXIST) throw;
    throw Error(ErrorKind::AlreadyExists, layer_name(id) + " exists already");
  }
}

void OverlayLayerStore::remove(const LayerId& id) {
  trash_->make_way();
  const LayerPtr layer = table_.find(id);
  if (!layer) return;
  UniqueFd marked;
  {
    Lock lock(layer->mutex);
    if (!layer->filled.wait_for(lock, kFillingPatience, [&] { return !layer->filling; })) {
      throw Error(ErrorKind::Busy, layer_name(id) + " is being filled by an ApplyDiff");
    }
    if (layer->removed) return;
    const bool lingers = layer->children > 0;
    if (lingers) marked = sys::open_directory(home_.get(), id.str());
    mounts_->clear(*layer);
    // Either is the commit point.
    if (lingers) {
      mark_removed(home_.get(), id);
      layer->lingers = true;
    } else {
      trash_->take(home_.get(), id.str());
    }
    layer->removed = true;
    table_.erase(layer);
  }
  if (marked) {
    observer_.note(NoteLevel::Info, layer_name(id) + " was removed under layers that lie on it: " +
                                        "it goes with the last of them");
  } else {
    unlink_name(*layer);
    disown_child(layer->parent, false);
  }
  with_context("the removal of " + layer_name(id) + " may not survive a power cut",
               [&] { commit_(marked ? marked.get() : home_.get()); });
}

// One layer less lies on the parent. That is only `marked` as one for its sake, or it lingers for
// its sake, and so on.
void OverlayLayerStore::disown_child(LayerPtr parent, bool marked) noexcept {
  for (; parent; parent = parent->parent, marked = false) {
    {
      const Lock lock(parent->mutex);
      if (--parent->children > 0) return;
      if (!parent->lingers) {
        if (marked) make_writable(*parent);
        return;
      }
    }
    bury(*parent);
  }
}

void OverlayLayerStore::make_writable(Layer& layer) noexcept {
  try {
    layer.size_recorded = false;
    unmark_committed(home_.get(), layer.id);
    layer.committed = false;
  } catch (const std::exception& error) {
    observer_.note(NoteLevel::Warning, layer_name(layer.id) + " stays read-only: " + error.what());
  }
}

// The files of a layer that was removed before. What cannot be done now the next start does.
void OverlayLayerStore::bury(const Layer& layer) noexcept {
  try {
    trash_->take(home_.get(), layer.id.str());
    unlink_name(layer);
  } catch (const std::exception& error) {
    observer_.note(NoteLevel::Warning,
                   "the files of " + layer_name(layer.id) +
                       ", which is removed, stay until the next start: " + error.what());
  }
}

// One that stays is removed at the next start.
void OverlayLayerStore::unlink_name(const Layer& layer) noexcept {
  try {
    if (!layer.link.empty()) sys::unlinkat(home_.get(), layout::link_path(layer.link), 0);
  } catch (const std::exception& error) {
    observer_.note(NoteLevel::Warning, "left a link behind: " + std::string(error.what()));
  }
}

// ------------------------------------------------------------------------------ holding, letting
// go

std::filesystem::path OverlayLayerStore::get(const LayerId& id, const std::string& mount_label) {
  trash_->make_way();
  const LayerPtr layer = require(id);
  const Lock lock(layer->mutex);
  check_usable(*layer);
  if (layer->has_digests && !layer->committed) drop_digests(*layer);
  std::filesystem::path path;
  quotas_->with_room(id.str(), [&] { path = mounts_->hold(*layer, mount_label); });
  return path;
}

// Before anybody can write. What is written may reach the disk first, unless this waits.
void OverlayLayerStore::drop_digests(Layer& layer) const {
  sys::unlinkat(home_.get(), layout::in_layer(layer.id, layout::kDigests), 0);
  layer.has_digests = false;
  commit_(sys::open_directory(home_.get(), layer.id.str()).get());
}

void OverlayLayerStore::put(const LayerId& id) {
  trash_->make_way();
  const LayerPtr layer = table_.find(id);
  if (!layer) return;
  const Lock lock(layer->mutex);
  if (!layer->removed) mounts_->let_go(layer);
}

void OverlayLayerStore::cleanup() {
  size_t held = 0;
  for (const LayerPtr& layer : table_.all()) {
    const Lock lock(layer->mutex);
    if (layer->removed) continue;
    mounts_->release_unheld(*layer);
    if (layer->mounted && layer->holders > 0) ++held;
  }
  mounts_->settle();
  if (held > 0) {
    observer_.note(NoteLevel::Info,
                   std::to_string(held) + " layers are still held and stay mounted");
  }
}

// --------------------------------------------------------------------------------------- streams

/// Counts a stream for idle() while it lives.
class StreamGuard {
 public:
  explicit StreamGuard(std::atomic<size_t>& count) : count_(&count) { ++count; }
  StreamGuard(StreamGuard&& other) noexcept : count_(std::exchange(other.count_, nullptr)) {}
  StreamGuard& operator=(StreamGuard&&) = delete;
  ~StreamGuard() {
    if (count_) --*count_;
  }

 private:
  std::atomic<size_t>* count_;
};

// A layer that is being read, for as long as it takes.
class OverlayLayerStore::Reading {
 public:
  // `what` is read, as errors say.
  Reading(OverlayLayerStore& store, const char* what, const LayerId& id, const LayerId* parent)
      : store_(store),
        context_(std::string(what) + " of " + layer_name(id)),
        guard_(store.streams_) {
    with_context(context_, [&] {
      layer_ = store.require(id);
      source_.emplace(store.open_source(*layer_, parent));
    });
  }

  const OverlayLayerStore& store() const { return store_; }

  // `work` reads the source.
  template <typename Work>
  void read(const Work& work) const {
    with_context(context_, [&] {
      work(*source_);
      const Lock lock(layer_->mutex);
      check_not_removed(*layer_);
    });
  }

 private:
  const OverlayLayerStore& store_;
  std::string context_;
  LayerPtr layer_;
  std::optional<DiffSource> source_;
  StreamGuard guard_;
};

class OverlayLayerStore::Diff final : public LayerDiff {
 public:
  explicit Diff(Reading reading) : reading_(std::move(reading)) {}

  void write_to(ByteSink& sink) override {
    const OverlayLayerStore& store = reading_.store();
    reading_.read([&](const DiffSource& source) {
      write_layer_tar(source, store.config_.id_maps, store.observer_, sink);
    });
  }

 private:
  Reading reading_;
};

class OverlayLayerStore::Changes final : public LayerChanges {
 public:
  explicit Changes(Reading reading) : reading_(std::move(reading)) {}

  void write_to(const ChangeSink& sink) override {
    reading_.read([&](const DiffSource& source) { list_changes(source, sink); });
  }

 private:
  Reading reading_;
};

UniqueFd OverlayLayerStore::open_content(const Layer& layer) const {
  return sys::openat(home_.get(), layout::in_layer(layer.id, layout::kDiff),
                     O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

MergedDir OverlayLayerStore::open_stack(const Layer& nearest) const {
  std::vector<UniqueFd> layers;
  for (const Layer* layer : nearest.chain()) layers.push_back(open_content(*layer));
  return MergedDir(std::move(layers));
}

DiffSource OverlayLayerStore::open_source(Layer& layer, const LayerId* parent) const {
  const auto check = [&] {
    const Lock lock(layer.mutex);
    check_usable(layer);
  };
  check();
  try {
    return open_unchecked(layer, parent);
  } catch (const SysError&) {
    check();  // removed meanwhile, it is not there
    throw;
  }
}

DiffSource OverlayLayerStore::open_unchecked(const Layer& layer, const LayerId* parent) const {
  if (!parent) {
    return {.upper = open_stack(layer), .parent = std::nullopt, .direct = layer.parent == nullptr};
  }
  std::vector<UniqueFd> above;
  for (const Layer* at = &layer; at != nullptr; at = at->parent.get()) {
    if (at->id == *parent && !above.empty()) {
      const bool direct = above.size() == 1;
      return {.upper = MergedDir(std::move(above)), .parent = open_stack(*at), .direct = direct};
    }
    above.push_back(open_content(*at));
  }
  require(*parent);
  throw Error(ErrorKind::InvalidArgument,
              layer_name(*parent) + " is not an ancestor of " + layer_name(layer.id));
}

// A directory that is deleted while it is being read does not look broken but empty.
void OverlayLayerStore::check_not_removed(const Layer& layer) {
  if (layer.removed) throw Error(ErrorKind::NotFound, "it was removed while being read");
}

std::unique_ptr<LayerDiff> OverlayLayerStore::diff(const LayerId& id, const LayerId* parent) {
  return std::make_unique<Diff>(Reading(*this, "diff", id, parent));
}

std::unique_ptr<LayerChanges> OverlayLayerStore::changes(const LayerId& id, const LayerId* parent) {
  return std::make_unique<Changes>(Reading(*this, "changes", id, parent));
}

int64_t OverlayLayerStore::diff_size(const LayerId& id, const LayerId* parent) const {
  return with_context("size of " + layer_name(id), [&] {
    const StreamGuard guard(streams_);
    const LayerPtr layer = require(id);
    const bool on_parent =
        parent ? layer->parent && layer->parent->id == *parent : layer->parent == nullptr;
    if (on_parent) return size_on_parent(*layer, parent);
    const int64_t size = measure(open_source(*layer, parent));
    const Lock lock(layer->mutex);
    check_not_removed(*layer);
    return size;
  });
}

// Counted once while nobody can write.
int64_t OverlayLayerStore::size_on_parent(Layer& layer, const LayerId* parent) const {
  bool fixed = false;
  unsigned begun = 0;
  {
    const Lock lock(layer.mutex);
    check_usable(layer);
    if (layer.size) return record_size(layer, *layer.size);
    fixed = layer.committed && layer.writers.none();
    begun = layer.writers.begun();
  }
  const int64_t size = measure(open_source(layer, parent));
  const Lock lock(layer.mutex);
  check_not_removed(layer);
  if (!fixed || !layer.committed || layer.writers.begun() != begun) return size;
  layer.size = size;
  return record_size(layer, size);
}

// For the next start, which knows of a layer that is not committed only that anybody may have
// written to it.
int64_t OverlayLayerStore::record_size(Layer& layer, int64_t size) const {
  if (!layer.committed || layer.size_recorded) return size;
  try {
    overlayd::record_size(home_.get(), layer.id, size);
  } catch (const Error&) {
    // A disk that is full. It will be counted again.
  }
  layer.size_recorded = true;
  return size;
}

int64_t OverlayLayerStore::apply_diff(const LayerId& id, const LayerId* parent,
                                      ByteSource& source) {
  const LayerPtr layer = require(id);
  const StreamGuard guard(streams_);
  const bool record = begin_filling(*layer, parent);
  ScopeExit abandon([&] { abandon_filling(*layer); });
  const Applied applied = with_context("apply " + layer_name(id), [&] {
    const Applied filled = fill(*layer, source, record);
    publish_content(id);
    return filled;
  });
  finish_filling(*layer, applied.size);
  abandon.dismiss();
  observer_.applied(applied.entries);
  return applied.size;
}

// The tar is a stranger's: whatever it makes the extractor do, the kernel keeps it inside the
// layer.
Applied OverlayLayerStore::fill(const Layer& layer, ByteSource& source, bool record) {
  const UniqueFd root = sys::openat(home_.get(), layout::in_layer(layer.id, layout::kPartial),
                                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  ApplyOptions options = {.commit = commit_, .reserve = &read_ahead_};
  if (layer.parent) options.open_lower = [&] { return open_stack(*layer.parent); };
  if (record) {
    options.digests = sys::openat(home_.get(), layout::in_layer(layer.id, layout::kDigests),
                                  O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
  }
  Applied applied;
  run_confined(root.get(), home_.get(), [&] {
    applied = apply_layer_tar(root.get(), config_.id_maps, source, std::move(options));
  });
  return applied;
}

// True when nobody else can write to it, so that it will hold what is recorded.
bool OverlayLayerStore::begin_filling(Layer& layer, const LayerId* parent) {
  const Lock lock(layer.mutex);
  check_usable(layer);
  const std::string name = layer_name(layer.id);
  if (parent && (!layer.parent || layer.parent->id != *parent)) {
    throw Error(ErrorKind::InvalidArgument, layer_name(*parent) + " is not the parent of " + name);
  }
  if (layer.committed) throw Error(ErrorKind::Busy, name + " has children and is read-only");
  mounts_->finish_letting_go(layer);
  if (layer.mounted || layer.holders > 0) throw Error(ErrorKind::Busy, name + " is in use");
  if (!sys::list_directory(open_content(layer).get()).empty()) {
    throw Error(ErrorKind::InvalidArgument, name + " has content already");
  }
  layer.unfinished = true;
  try {
    make_content_directory(home_.get(), layout::in_layer(layer.id, layout::kPartial), owner_);
  } catch (...) {
    layer.unfinished = !is_absent(home_.get(), layout::in_layer(layer.id, layout::kPartial));
    throw;
  }
  layer.filling = true;
  return layer.writers.none();
}

// While the layer is being filled, so that nobody else touches it and no lock is held for the disk.
void OverlayLayerStore::publish_content(const LayerId& id) {
  const std::string partial = layout::in_layer(id, layout::kPartial);
  const UniqueFd layer = sys::open_directory(home_.get(), id.str());
  commit_.before_showing(layer.get());
  // Commit point. rename(2) replaces an empty directory and refuses any other.
  sys::renameat(home_.get(), partial, home_.get(), layout::in_layer(id, layout::kDiff));
  ScopeExit take_back([&] { take_content_back(id); });
  commit_(layer.get());
  take_back.dismiss();
}

void OverlayLayerStore::take_content_back(const LayerId& id) noexcept {
  const std::string partial = layout::in_layer(id, layout::kPartial);
  try {
    make_content_directory(home_.get(), partial, owner_);
    sys::renameat(home_.get(), partial, home_.get(), layout::in_layer(id, layout::kDiff),
                  RENAME_EXCHANGE);
  } catch (const std::exception& error) {
    observer_.note(NoteLevel::Warning,
                   "the next start will take " + layer_name(id) + " for complete: " + error.what());
  }
}

void OverlayLayerStore::finish_filling(Layer& layer, int64_t size) {
  const Lock lock(layer.mutex);
  layer.filling = layer.unfinished = false;
  if (layer.writers.none()) {
    layer.size = size;
    layer.has_digests = true;
  }
  layer.filled.notify_all();
}

// What was extracted goes; an empty partial/ stays, so that nobody takes the layer for an empty
// one: a retried ApplyDiff may carry only the rest of the stream. The trash takes the layer's
// limits off with it, and the layer, which takes only remove(), needs none any more.
void OverlayLayerStore::abandon_filling(Layer& layer) noexcept {
  const Lock lock(layer.mutex);
  try {
    const std::string empty = std::string(layout::kStagingDirectory) + "/" + layout::random_name();
    make_content_directory(home_.get(), empty, owner_);
    share_project(sys::open_directory(home_.get(), layer.id.str()).get(),
                  sys::open_directory(home_.get(), empty).get());
    sys::renameat(home_.get(), empty, home_.get(), layout::in_layer(layer.id, layout::kPartial),
                  RENAME_EXCHANGE);
    trash_->take(home_.get(), empty);
    sys::unlinkat(home_.get(), layout::in_layer(layer.id, layout::kDigests), 0);
  } catch (const std::exception& error) {
    observer_.note(NoteLevel::Warning, "content of the unfinished " + layer_name(layer.id) +
                                           " stays until it is removed: " + error.what());
  }
  layer.filling = false;
  layer.filled.notify_all();
}

}  // namespace

std::unique_ptr<LayerStore> LayerStore::open(StoreConfig config, Observer& observer) {
  const std::string home = config.home.string();
  return with_context("open the store in " + quoted(home), [&] {
    return std::make_unique<OverlayLayerStore>(std::move(config), observer);
  });
}

}  // namespace overlayd
