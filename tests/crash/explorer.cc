// SPDX-License-Identifier: Apache-2.0
#include "tests/crash/explorer.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <atomic>
#include <cstdio>
#include <random>
#include <set>
#include <vector>

#include "core/error.h"
#include "core/sys.h"

namespace overlayd::test {
namespace {

/// Of one recording. Then another workload is more worth than another image.
constexpr uint64_t kImagesOfARecording = 50;
constexpr uint64_t kShownViolations = 20;
constexpr uint64_t kShownOfARecording = 2;

/// What the processes count together.
struct Shared {
  std::atomic<uint64_t> next_workload, recordings, images, bad_images, shown;
  std::array<std::atomic<uint64_t>, Violation::kKinds> violations;
};

class Worker {
 public:
  Worker(const ExplorerOptions& options, Shared& shared, const std::string& scratch)
      : options_(options),
        shared_(shared),
        places_{.disk = scratch + "/disk",
                .mount = scratch + "/mount",
                .base = scratch + "/base.img",
                .crashed = scratch + "/crashed.img",
                .state = scratch + "/state"},
        prepared_(prepare(scratch)),
        image_(places_.base, places_.crashed),
        device_(image_.path()) {}

  void run() {
    while (shared_.images < options_.images) {
      const uint64_t number = shared_.next_workload++;
      const Workload workload = make_workload(number, options_.seed, options_.docker.empty());
      const Recording recording = record(options_.file_system, places_, workload, prepared_,
                                         [this](const std::string& root) { return open(root); });
      ++shared_.recordings;
      explore(number, workload, recording);
    }
  }

 private:
  Contents prepare(const std::string& scratch) const {
    for (const std::string& directory : {scratch, places_.disk, places_.mount, places_.state}) {
      sys::mkdirat(AT_FDCWD, directory, 0700);
    }
    return make_base(options_.file_system, places_,
                     [this](const std::string& root) { return open(root); });
  }

  std::unique_ptr<Driver> open(const std::string& root) const {
    if (!options_.docker.empty()) return open_docker(root, options_.docker);
    return open_overlayd(root, places_.state, options_.durability);
  }

  void explore(uint64_t number, const Workload& workload, const Recording& recording) {
    const DiskStates states(recording.disk->log());
    std::mt19937_64 random(options_.seed * 1000003 + number);
    std::set<std::pair<uint64_t, std::vector<int>>> seen;
    uint64_t bad = 0;
    for (uint64_t tries = 0; tries < 2 * kImagesOfARecording; ++tries) {
      if (seen.size() == kImagesOfARecording || shared_.images >= options_.images) return;
      const uint32_t cut = choose_cut(states, recording, tries, random);
      DiskState state;
      switch (random() % 4) {
        case 0: state = states.everything(cut); break;
        case 1: state = states.flushed(cut); break;
        default: state = states.some(cut, random);
      }
      if (!seen.emplace(state.hash(), progress(recording, cut)).second) continue;
      ++shared_.images;
      const std::vector<Violation> violations = look_at(workload, recording, state);
      if (violations.empty()) continue;
      count(violations);
      if (++bad > kShownOfARecording || shared_.shown++ >= kShownViolations) continue;
      say("workload " + std::to_string(number) + " of seed " + std::to_string(options_.seed) +
          " (" + workload.name + "), cut after " + std::to_string(cut) + " of " +
          std::to_string(states.cuts() - 1) + " events, " + std::to_string(state.kept.size()) +
          " sectors kept: " + to_string(violations.front().kind) + ": " + violations.front().what);
    }
  }

  // The moments at which a call has just answered first, then those shortly after one has, and any.
  static uint32_t choose_cut(const DiskStates& states, const Recording& recording, uint64_t tries,
                             std::mt19937_64& random) {
    const size_t calls = recording.times.size();
    if (tries < 4 * calls) return recording.times[tries % calls].answered;
    if (tries % 2 == 0) return static_cast<uint32_t>(random() % states.cuts());
    const uint32_t answered = recording.times[random() % calls].answered;
    return std::min(answered + static_cast<uint32_t>(random() % 16), states.cuts() - 1);
  }

  // The same disk at another time may have to keep more promises.
  static std::vector<int> progress(const Recording& recording, uint32_t cut) {
    std::vector<int> steps;
    for (const CallTimes& times : recording.times) {
      steps.push_back((times.begun <= cut ? 1 : 0) + (times.answered <= cut ? 1 : 0));
    }
    return steps;
  }

  std::vector<Violation> look_at(const Workload& workload, const Recording& recording,
                                 const DiskState& state) {
    image_.become(state);
    device_.forget();
    try {
      MountedDevice mounted(options_.file_system, device_, places_.mount);
      const auto found = options_.docker.empty() ? find_with_overlayd(places_.mount, places_.state)
                                                 : find_like_docker(places_.mount);
      mounted.unmount();
      return judge(workload, recording, state.cut, found);
    } catch (const Error& error) {
      return {{Violation::Kind::Start, error.what()}};
    }
  }

  void count(const std::vector<Violation>& violations) {
    ++shared_.bad_images;
    for (const Violation& violation : violations) {
      ++shared_.violations.at(static_cast<size_t>(violation.kind));
    }
  }

  static void say(const std::string& line) {
    std::printf("# %s\n", line.c_str());
    std::fflush(stdout);
  }

  const ExplorerOptions& options_;
  Shared& shared_;
  const Places places_;
  const Contents prepared_;
  CrashImage image_;
  LoopDevice device_;
};

void start_worker(const ExplorerOptions& options, Shared& shared, const std::string& scratch) {
  std::fflush(stdout);
  const pid_t pid = ::fork();
  if (pid < 0) throw_errno("start", "a worker");
  if (pid > 0) return;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  try {
    Worker(options, shared, scratch).run();
    ::_exit(0);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "crash explorer: %s\n", error.what());
    ::_exit(1);
  }
}

Counts counts_of(const Shared& shared) {
  Counts counts{shared.recordings, shared.images, shared.bad_images, {}};
  for (size_t i = 0; i < counts.violations.size(); ++i) counts.violations[i] = shared.violations[i];
  return counts;
}

}  // namespace

Counts explore(const ExplorerOptions& options) {
  void* memory =
      ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw_errno("map", "counters");
  Shared& shared = *static_cast<Shared*>(memory);
  for (unsigned i = 0; i < options.jobs; ++i) {
    start_worker(options, shared, options.scratch + "/" + std::to_string(i));
  }
  bool good = true;
  for (unsigned i = 0; i < options.jobs; ++i) {
    int status = 0;
    ::wait(&status);
    if (status == 0) continue;
    good = false;
    shared.images = options.images;  // the others need not go on
  }
  const Counts counts = counts_of(shared);
  ::munmap(memory, sizeof(Shared));
  if (!good) throw Error(ErrorKind::Internal, "a worker did not get to its end");
  return counts;
}

}  // namespace overlayd::test
