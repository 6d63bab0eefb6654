// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/plugin/fake_store.h"

#include "core/error.h"

namespace overlayd::test {
namespace {

std::string name(const LayerId* parent) { return parent == nullptr ? "nothing" : parent->str(); }

class FakeDiff final : public LayerDiff {
 public:
  explicit FakeDiff(FakeWorld& world) : world_(world) {}
  void write_to(ByteSink& sink) override { world_.on_send(sink); }

 private:
  FakeWorld& world_;
};

class FakeChanges final : public LayerChanges {
 public:
  explicit FakeChanges(FakeWorld& world) : world_(world) {}
  void write_to(const ChangeSink& sink) override { world_.on_tell(sink); }

 private:
  FakeWorld& world_;
};

class FakeStore final : public LayerStore {
 public:
  FakeStore(FakeWorld& world, StoreConfig config) : world_(world), config_(std::move(config)) {
    ++world_.open_now;
  }
  ~FakeStore() override { --world_.open_now; }

  const StoreConfig& config() const override { return config_; }

  void create(const LayerId& id, const LayerId* parent, const CreateOptions& options) override {
    std::string call = options.is_writable ? "create writable " : "create ";
    call += id.str() + " on " + name(parent);
    for (const auto& [key, value] : options.storage_options) call += " " + key + "=" + value;
    world_.note(call);
  }

  void remove(const LayerId& id) override { world_.note("remove " + id.str()); }

  std::filesystem::path get(const LayerId& id, const std::string&) override {
    world_.note("get " + id.str());
    require(id);
    world_.on_get();
    return config_.home / id.str() / "merged";
  }

  void put(const LayerId& id) override { world_.note("put " + id.str()); }
  bool exists(const LayerId& id) const override { return id.str() != "unknown"; }

  LayerMetadata metadata(const LayerId& id) const override {
    require(id);
    const auto layer = config_.home / id.str();
    if (id.str() == "base")
      return {.upper = layer / "diff",
              .work = layer / "work",
              .merged = layer / "merged",
              .lowers = {}};
    return {.upper = layer / "diff",
            .work = layer / "work",
            .merged = layer / "merged",
            .lowers = {config_.home / "middle/diff", config_.home / "base/diff"}};
  }

  StoreStatus status() override {
    return {.backing_filesystem = "extfs",
            .supports_d_type = true,
            .mount_method = MountMethod::LayerFds,
            .durability = Durability::Strict,
            .commit_method = CommitMethod::Targeted,
            .max_lowers = 500,
            .layers = 12,
            .mounted = 3,
            .unfinished = 1,
            .trash = 2,
            .quota_obstacle = "no quotas",
            .damaged = {"b", "c", "d", "e", "f"}};
  }

  bool idle() override { return world_.idle; }
  void cleanup() override { world_.note("cleanup"); }

  std::unique_ptr<LayerDiff> diff(const LayerId& id, const LayerId* parent) override {
    require(id);
    world_.note("diff " + id.str() + " on " + name(parent));
    return std::make_unique<FakeDiff>(world_);
  }

  std::unique_ptr<LayerChanges> changes(const LayerId& id, const LayerId*) override {
    require(id);
    return std::make_unique<FakeChanges>(world_);
  }

  int64_t diff_size(const LayerId& id, const LayerId*) const override {
    require(id);
    return 640;
  }

  int64_t apply_diff(const LayerId& id, const LayerId* parent, ByteSource& source) override {
    require(id);
    world_.note("apply " + id.str() + " on " + name(parent));
    const int64_t size = world_.on_receive(source);
    world_.note("applied " + id.str());
    return size;
  }

 private:
  static void require(const LayerId& id) {
    if (id.str() == "unknown") throw Error(ErrorKind::NotFound, "no such layer: 'unknown'");
  }

  FakeWorld& world_;
  StoreConfig config_;
};

}  // namespace

void FakeWorld::note(const std::string& call) {
  const std::lock_guard lock(mutex_);
  calls_.push_back(call);
}

std::vector<std::string> FakeWorld::calls() const {
  const std::lock_guard lock(mutex_);
  return calls_;
}

std::unique_ptr<LayerStore> FakeWorld::open(StoreConfig config) {
  if (config.home == unopenable) throw Error(ErrorKind::Unsupported, "this home cannot be opened");
  opened.push_back(config);
  return std::make_unique<FakeStore>(*this, std::move(config));
}

}  // namespace overlayd::test
