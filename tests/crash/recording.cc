// SPDX-License-Identifier: Apache-2.0
#include "tests/crash/recording.h"

#include <fcntl.h>
#include <unistd.h>

#include <future>

#include "core/error.h"
#include "core/sys.h"
#include "tests/support/tree_dump.h"

namespace overlayd::test {
namespace {

void make_call(Driver& driver, const Call& call) {
  switch (call.kind) {
    case Call::Kind::Create: return driver.create(call.id, kBaseLayer, false);
    case Call::Kind::CreateReadWrite: return driver.create(call.id, kBaseLayer, true);
    case Call::Kind::Apply: return driver.apply(call.id, kBaseLayer, call.tar);
    case Call::Kind::Remove: return driver.remove(call.id);
  }
}

UniqueFd make_file(const std::string& path, const std::string& content) {
  UniqueFd fd = sys::openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  sys::write_full(fd.get(), std::as_bytes(std::span(content.data(), content.size())));
  return fd;
}

/// Runs the calls of a workload on a mounted disk.
class Player {
 public:
  Player(const Workload& workload, Driver& driver, const DiskLog& log, std::string root)
      : workload_(workload), driver_(driver), log_(log), root_(std::move(root)) {}

  std::vector<CallTimes> play() {
    std::vector<std::future<CallTimes>> running;
    for (size_t i = 0; i < workload_.calls.size(); ++i) {
      const auto policy = workload_.at_once ? std::launch::async : std::launch::deferred;
      running.push_back(std::async(policy, [this, i] { return play(i); }));
      if (!workload_.at_once) running.back().wait();
    }
    std::vector<CallTimes> times;
    for (auto& call : running) times.push_back(call.get());
    return times;
  }

 private:
  CallTimes play(size_t number) const {
    const std::string suffix = std::to_string(number);
    if (workload_.neighbour_writes) {
      make_file(root_ + "/neighbour" + suffix, std::string(size_t{1} << 20, 'n'));
    }
    CallTimes times;
    times.begun = log_.size();
    make_call(driver_, workload_.calls[number]);
    times.answered = log_.size();
    if (workload_.neighbour_syncs) {
      const UniqueFd record = make_file(root_ + "/record" + suffix, "sha256:…");
      if (::fsync(record.get()) != 0) throw_errno("sync", "a record");
    }
    return times;
  }

  const Workload& workload_;
  Driver& driver_;
  const DiskLog& log_;
  const std::string root_;
};

void look_at_layers(const std::string& root, Contents& contents) {
  for (const std::string& id : possible_layers()) {
    if (auto content = layer_content(root, id); !content.empty()) {
      contents[id] = std::move(content);
    }
  }
}

}  // namespace

std::vector<std::string> layer_content(const std::string& root, const std::string& id) {
  const UniqueFd home = sys::open_path_dir(AT_FDCWD, root + kHome);
  const UniqueFd diff = sys::try_openat(home.get(), id + "/diff", O_RDONLY | O_DIRECTORY);
  return diff ? tree_dump(diff.get(), {.mtimes = true}) : std::vector<std::string>{};
}

Contents make_base(FileSystem type, const Places& places, const OpenDriver& open_driver) {
  make_image(type, places.base);
  const LoopDevice device(places.base);
  MountedDevice mounted(type, device, places.mount);
  prepare_layers(*open_driver(places.mount));
  Contents contents;
  look_at_layers(places.mount, contents);
  mounted.unmount();
  return contents;
}

Recording record(FileSystem type, const Places& places, const Workload& workload,
                 const Contents& prepared, const OpenDriver& open_driver) {
  Recording recording;
  recording.contents = prepared;
  recording.disk = std::make_unique<RecordingDisk>(places.base, places.disk);
  const LoopDevice device(recording.disk->path());
  MountedDevice mounted(type, device, places.mount);
  {
    const auto driver = open_driver(places.mount);
    recording.times = Player(workload, *driver, recording.disk->log(), places.mount).play();
    look_at_layers(places.mount, recording.contents);
  }
  mounted.unmount();  // and so everything gets to the disk in the end
  return recording;
}

}  // namespace overlayd::test
