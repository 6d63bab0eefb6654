// SPDX-License-Identifier: Apache-2.0
#include "tests/crash/driver.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <mutex>
#include <vector>

#include "core/error.h"
#include "core/layer_store.h"
#include "core/sys.h"

namespace overlayd::test {
namespace {

class OverlaydDriver final : public Driver {
 public:
  OverlaydDriver(const std::string& root, const std::string& state, Durability durability) {
    StoreConfig config;
    config.home = root + kHome;
    config.state_dir = state;
    config.durability = durability;
    store_ = LayerStore::open(config, observer_);
  }

  void create(const std::string& id, const std::string& parent, bool) override {
    const LayerId below = LayerId::parse(parent.empty() ? id : parent);
    store_->create(LayerId::parse(id), parent.empty() ? nullptr : &below, {});
  }

  void apply(const std::string& id, const std::string&, const std::string& tar) override {
    StringSource source(tar);
    store_->apply_diff(LayerId::parse(id), nullptr, source);
  }

  void remove(const std::string& id) override { store_->remove(LayerId::parse(id)); }

 private:
  NullObserver observer_;
  std::unique_ptr<LayerStore> store_;
};

/// Docker's driver is another process with a few sockets, each for one call at a time.
class DockerDriver final : public Driver {
 public:
  DockerDriver(const std::string& root, const std::string& program) {
    std::vector<UniqueFd> theirs;
    for (int i = 0; i < kChannels; ++i) {
      int ends[2];
      if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        throw_errno("make", "a pair of sockets");
      }
      free_.emplace_back(ends[0]);
      theirs.emplace_back(ends[1]);
    }
    process_ = ::fork();
    if (process_ < 0) throw_errno("start", program);
    if (process_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      // First out of the way of the numbers that they are to have.
      for (UniqueFd& end : theirs) {
        end.reset(::fcntl(end.get(), F_DUPFD_CLOEXEC, kFirstChannel + kChannels));
      }
      int number = kFirstChannel;
      for (const UniqueFd& end : theirs) ::dup2(end.get(), number++);
      ::execl(program.c_str(), program.c_str(), root.c_str(), nullptr);
      ::_exit(127);
    }
  }

  ~DockerDriver() override {
    free_.clear();
    ::waitpid(process_, nullptr, 0);
  }

  void create(const std::string& id, const std::string& parent, bool read_write) override {
    call((read_write ? "CreateReadWrite\n" : "Create\n") + id + "\n" + parent);
  }
  void apply(const std::string& id, const std::string& parent, const std::string& tar) override {
    // A tar may be larger than a packet.
    const UniqueFd file(::memfd_create("tar", 0));
    sys::write_full(file.get(), as_bytes(tar));
    call("ApplyDiff\n" + id + "\n" + parent + "\n/proc/" + std::to_string(::getpid()) + "/fd/" +
         std::to_string(file.get()));
  }
  void remove(const std::string& id) override { call("Remove\n" + id); }

 private:
  static constexpr int kFirstChannel = 3;
  static constexpr int kChannels = 3;

  void call(const std::string& request) {
    UniqueFd channel = take();
    std::string answer(4096, '\0');
    ssize_t length = ::send(channel.get(), request.data(), request.size(), MSG_NOSIGNAL);
    if (length >= 0) length = ::recv(channel.get(), answer.data(), answer.size(), 0);
    if (length <= 0) throw Error(ErrorKind::Internal, "Docker's driver is gone");
    answer.resize(static_cast<size_t>(length));
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(channel));
    if (answer != "ok") throw Error(ErrorKind::Internal, "Docker's driver says: " + answer);
  }

  UniqueFd take() {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) throw Error(ErrorKind::Busy, "too many calls at once");
    UniqueFd channel = std::move(free_.back());
    free_.pop_back();
    return channel;
  }

  std::mutex mutex_;
  std::vector<UniqueFd> free_;  // guarded by mutex_
  pid_t process_ = -1;
};

}  // namespace

std::unique_ptr<Driver> open_overlayd(const std::string& root, const std::string& state,
                                      Durability durability) {
  return std::make_unique<OverlaydDriver>(root, state, durability);
}

std::unique_ptr<Driver> open_docker(const std::string& root, const std::string& program) {
  return std::make_unique<DockerDriver>(root, program);
}

}  // namespace overlayd::test
