// SPDX-License-Identifier: Apache-2.0
//
// FakeStore: a LayerStore without a file system. It answers the layers of docs/protocol.md, notes
// what it was asked, and does as the test tells it through the FakeWorld that it lives in.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "core/layer_store.h"
#include "plugin/driver.h"
#include "plugin/log.h"
#include "plugin/metrics.h"
#include "plugin/state_dir.h"
#include "tests/support/temp_dir.h"

namespace overlayd::test {

struct FakeWorld {
  std::vector<StoreConfig> opened;  ///< every store ever opened
  int open_now = 0;
  bool idle = true;
  std::filesystem::path unopenable;  ///< a home that cannot be opened
  std::function<void()> on_get = [] {};
  std::function<void(ByteSink&)> on_send = [](ByteSink& sink) { sink.write(as_bytes("a tar")); };
  std::function<void(const ChangeSink&)> on_tell = [](const ChangeSink& sink) {
    sink("/etc", ChangeKind::Modify);
    sink("/etc/motd", ChangeKind::Add);
    sink("/name-\xff", ChangeKind::Add);
    sink("/tmp/old", ChangeKind::Delete);
  };
  std::function<int64_t(ByteSource&)> on_receive = [](ByteSource& source) {
    return static_cast<int64_t>(drain(source));
  };

  void note(const std::string& call);
  std::vector<std::string> calls() const;

  /// To be given to a Driver.
  std::unique_ptr<LayerStore> open(StoreConfig config);

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> calls_;
};

/// A driver on a world, and what it needs.
struct FakeDriver {
  TempDir scratch;
  FakeWorld world;
  Log log{LogLevel::Off};
  Metrics metrics;
  StateDir state{scratch / "state"};
  Driver driver{state,
                MountMethod::Auto,
                Durability::None,
                [this](StoreConfig config, Observer&) { return world.open(std::move(config)); },
                metrics,
                log};
};

}  // namespace overlayd::test
