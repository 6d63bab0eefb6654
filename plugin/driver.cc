// SPDX-License-Identifier: Apache-2.0
#include "plugin/driver.h"

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <string>
#include <utility>

#include "plugin/move_record.h"
#include "plugin/propagation.h"
#include "plugin/version.h"

namespace overlayd {
namespace {

const LayerId* pointer(const std::optional<LayerId>& id) { return id ? &*id : nullptr; }

std::string text(bool value) { return value ? "true" : "false"; }

// "strict (targeted)"; where there is but one way to do it, its name alone.
std::string durability_of(const StoreStatus& status) {
  std::string text(to_string(status.durability));
  if (status.durability == Durability::Strict) {
    text += " (" + std::string(to_string(status.commit_method)) + ")";
  }
  return text;
}

std::string joined(const std::vector<std::filesystem::path>& paths) {
  std::string all;
  for (const auto& path : paths) {
    if (!all.empty()) all += ':';
    all += path.native();
  }
  return all;
}

// "2: a, b"; the first few by name.
std::string listed(const std::vector<std::string>& ids) {
  constexpr size_t kMost = 4;
  std::string all = std::to_string(ids.size());
  for (size_t i = 0; i < std::min(ids.size(), kMost); ++i) all += (i == 0 ? ": " : ", ") + ids[i];
  if (ids.size() > kMost) all += ", …";
  return all;
}

// Something that is being read of a store, which it keeps open.
template <typename Reading, typename Sink>
class Held final : public Reading {
 public:
  Held(std::shared_ptr<LayerStore> store, std::unique_ptr<Reading> reading)
      : store_(std::move(store)), reading_(std::move(reading)) {}
  void write_to(Sink& sink) override { reading_->write_to(sink); }

 private:
  std::shared_ptr<LayerStore> store_;
  std::unique_ptr<Reading> reading_;
};

using HeldDiff = Held<LayerDiff, ByteSink>;
using HeldChanges = Held<LayerChanges, const ChangeSink>;

}  // namespace

Driver::Driver(StateDir& state, MountMethod mount_method, Durability durability,
               OpenStore open_store, Metrics& metrics, Log& log)
    : state_(state),
      mount_method_(mount_method),
      durability_(durability),
      open_store_(std::move(open_store)),
      log_(log),
      observer_(metrics, log),
      unavailable_(ErrorKind::Busy, "overlayd is not initialised: it has never had an Init") {}

void Driver::resume() noexcept {
  const std::unique_lock lock(gate_);
  try {
    load_last_init();
  } catch (const std::exception& error) {
    unavailable_ =
        Error(ErrorKind::Busy, std::string("overlayd is not initialised: ") + error.what());
    log_.warning(std::string("cannot resume: ") + error.what());
  }
}

void Driver::load_last_init() {
  const auto content = state_.read_init();
  if (!content) return;
  const InitRequest last = with_context("read init.json", [&] { return decode_init(*content); });
  // Opening would make an empty home, which is worse than none: an unmounted disk would be
  // forgiven.
  if (!std::filesystem::is_directory(last.home))
    throw Error(ErrorKind::NotFound,
                "home " + quoted(last.home.native()) + " is not there any more");
  open(last);
  resumed_ = true;
  log_.info("resumed home " + quoted(last.home.native()));
}

EmptyReply Driver::init(const InitRequest& request) {
  take(request);
  if (mounts_reach_others(request.home)) return {};
  // The engine starts a managed plugin that ends anew, shares mounts with it again, and repeats a
  // call that had no answer. Ending like this is what a kill does, and harms as little.
  log_.error("what is mounted in home " + quoted(request.home.native()) +
             " does not reach the engine; ending, to be started anew");
  std::_Exit(EXIT_FAILURE);
}

void Driver::take(const InitRequest& request) {
  {
    // A busy store is refused without waiting for what keeps it busy.
    const std::shared_lock lock(gate_);
    if (settled(request)) return;
  }
  const std::unique_lock lock(gate_);
  if (!settled(request)) exchange(request);
}

EmptyReply Driver::repeat_init() const {
  const std::shared_lock lock(gate_);
  if (!resumed_) throw Error(ErrorKind::InvalidArgument, "request body is empty");
  return {};
}

bool Driver::settled(const InitRequest& request) const {
  if (!store_) return false;
  if (*serving_ == request) return true;
  if (store_->idle()) return false;
  throw Error(ErrorKind::Busy, "cannot switch to home " + quoted(request.home.native()) +
                                   " with these options: layers of home " +
                                   quoted(serving_->home.native()) + " are in use");
}

// One store at a time: old and new may be the same home with other options, and share the state
// directory.
void Driver::exchange(const InitRequest& request) {
  if (store_.use_count() > 1)
    throw Error(ErrorKind::Busy, "cannot switch homes: a diff is being sent");
  const auto before = std::exchange(serving_, std::nullopt);
  resumed_ = false;
  store_.reset();
  try {
    open(request);
    state_.write_init(encode(request));
  } catch (const std::exception&) {
    store_.reset();
    serving_.reset();
    if (before) try_open(*before);
    throw;
  }
  log_.info("serving home " + quoted(request.home.native()));
}

void Driver::open(const InitRequest& request) {
  check_not_being_moved(request.home);
  store_ = open_store_({.home = request.home,
                        .state_dir = state_.path(),
                        .options = request.options,
                        .id_maps = request.id_maps,
                        .mount_method = mount_method_,
                        .durability = durability_},
                       observer_);
  serving_ = request;
}

void Driver::try_open(const InitRequest& request) noexcept {
  try {
    open(request);
  } catch (const std::exception& error) {
    unavailable_ =
        Error(ErrorKind::Busy, std::string("overlayd is not initialised: ") + error.what());
    log_.error("cannot go back to home " + quoted(request.home.native()) + ": " + error.what());
  }
}

Driver::Use Driver::use() {
  std::shared_lock lock(gate_);
  if (!store_) throw unavailable_;
  return {.lock = std::move(lock), .store = *store_};
}

EmptyReply Driver::create(const CreateRequest& request) { return create_layer(request, false); }

EmptyReply Driver::create_read_write(const CreateRequest& request) {
  return create_layer(request, true);
}

EmptyReply Driver::create_layer(const CreateRequest& request, bool is_writable) {
  use()->create(request.id, pointer(request.parent),
                {.storage_options = request.storage_options, .is_writable = is_writable});
  return {};
}

EmptyReply Driver::remove(const LayerRequest& request) {
  use()->remove(request.id);
  return {};
}

GetReply Driver::get(const GetRequest& request) {
  return {.dir = use()->get(request.id, request.mount_label)};
}

EmptyReply Driver::put(const LayerRequest& request) {
  use()->put(request.id);
  return {};
}

ExistsReply Driver::exists(const LayerRequest& request) {
  return {.exists = use()->exists(request.id)};
}

StatusReply Driver::status() {
  const std::shared_lock lock(gate_);
  if (!store_) {
    return {{{"overlayd Version", std::string(version())}, {"State", unavailable_.what()}}};
  }
  const StoreStatus status = store_->status();
  // Docker's own rows first, in its order; it reads the first two.
  return {{{"Backing Filesystem", status.backing_filesystem},
           {"Supports d_type", text(status.supports_d_type)},
           {"Using metacopy", text(false)},
           {"Native Overlay Diff", text(true)},
           {"userxattr", text(false)},
           {"overlayd Version", std::string(version())},
           {"Mount API", std::string(to_string(status.mount_method))},
           {"Durability", durability_of(status)},
           {"Layer Quotas", status.quota_obstacle.empty() ? "true" : "false"},
           {"Layer Limit", std::to_string(status.max_lowers)},
           {"Layers", std::to_string(status.layers)},
           {"Mounted Layers", std::to_string(status.mounted)},
           {"Damaged Layers", listed(status.damaged)}}};
}

std::optional<StoreStatus> Driver::store_status() const {
  const std::shared_lock lock(gate_, std::try_to_lock);
  if (!lock || !store_) return std::nullopt;
  return store_->status();
}

MetadataReply Driver::metadata(const LayerRequest& request) {
  const LayerMetadata found = use()->metadata(request.id);
  MetadataReply reply{{{"WorkDir", found.work.native()},
                       {"MergedDir", found.merged.native()},
                       {"UpperDir", found.upper.native()}}};
  if (!found.lowers.empty()) reply.values.emplace_back("LowerDir", joined(found.lowers));
  return reply;
}

EmptyReply Driver::cleanup() {
  const std::shared_lock lock(gate_);
  if (store_) store_->cleanup();
  return {};
}

std::unique_ptr<LayerDiff> Driver::diff(const DiffRequest& request) {
  const std::shared_lock lock(gate_);
  if (!store_) throw unavailable_;
  return std::make_unique<HeldDiff>(store_, store_->diff(request.id, pointer(request.parent)));
}

std::unique_ptr<LayerChanges> Driver::changes(const DiffRequest& request) {
  const std::shared_lock lock(gate_);
  if (!store_) throw unavailable_;
  return std::make_unique<HeldChanges>(store_,
                                       store_->changes(request.id, pointer(request.parent)));
}

SizeReply Driver::apply_diff(const DiffRequest& request, ByteSource& source) {
  return {.size = use()->apply_diff(request.id, pointer(request.parent), source)};
}

SizeReply Driver::diff_size(const DiffRequest& request) {
  return {.size = use()->diff_size(request.id, pointer(request.parent))};
}

}  // namespace overlayd
