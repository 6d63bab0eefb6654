// SPDX-License-Identifier: Apache-2.0
#include "tests/model/world.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <functional>
#include <thread>

#include "core/error.h"
#include "core/mount.h"
#include "core/stream.h"
#include "core/sys.h"
#include "tests/support/raw_client.h"

namespace overlayd::model {
namespace {

constexpr char kKept[] = "kept";

[[noreturn]] void fail(const std::string& what) { throw Error(ErrorKind::Internal, what); }

void wait_until(const char* what, const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline)
      fail(std::string("waited too long until ") + what);
    std::this_thread::yield();
  }
}

UniqueFd open_directory(const std::string& path) {
  return sys::openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
}

void write_file(int root, const std::string& path, uint64_t file) {
  const UniqueFd fd = sys::openat(root, path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0644);
  sys::write_full(fd.get(), as_bytes(content_of(file)));
  const timespec time{mtime_of(file), 0};
  const std::array<timespec, 2> times = {time, time};
  if (::futimens(fd.get(), times.data()) != 0) throw_errno("set the time of", path);
}

void mount_stranger(const std::string& path) {
  sys::mkdirat(AT_FDCWD, path, 0755);
  mount_classic("stranger", path, "tmpfs", 0, "mode=0755");
  sys::mkdirat(AT_FDCWD, path + "/" + kKept, 0700);
}

void end_stranger(const std::string& path) {
  if (!std::filesystem::exists(path + "/" + kKept))
    fail("the foreign mount on " + path + " was touched");
  if (::umount2(path.c_str(), 0) != 0) throw_errno("unmount", path);
}

// A sanitizer that finds something ends the process, so that it shows at once.
[[noreturn]] void run_overlayd(const std::string& directory) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::setenv("TSAN_OPTIONS", "halt_on_error=1", 0);
  const int log = ::open((directory + "/log").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  ::dup2(log, STDOUT_FILENO);
  ::dup2(log, STDERR_FILENO);
  const std::string socket = directory + "/socket", state = directory + "/state";
  ::execl(OVERLAYD_PROGRAM, OVERLAYD_PROGRAM, "serve", "--socket", socket.c_str(), "--state-dir",
          state.c_str(), nullptr);
  ::_exit(127);
}

}  // namespace

World::World(std::string directory) : directory_(std::move(directory)) {
  sys::mkdirat(AT_FDCWD, home(), 0755);
  mount_stranger(home() + "/" + kStranger);
  mount_stranger(directory_ + "/near");
}

World::~World() {
  leave_all_but({});
  if (overlayd_ < 0) return;
  ::kill(overlayd_, SIGKILL);
  ::waitpid(overlayd_, nullptr, 0);
}

std::string World::path_of(const std::string& id, const char* name) const {
  return home() + "/" + id + "/" + name;
}

// ---------------------------------------------------------------------------------------- overlayd

void World::start() {
  overlayd_ = ::fork();
  if (overlayd_ < 0) throw_errno("start", "overlayd");
  if (overlayd_ == 0) run_overlayd(directory_);
  wait_until("overlayd takes connections", [&] {
    if (::waitpid(overlayd_, nullptr, WNOHANG) != 0) fail("overlayd ended:\n" + end_of_log());
    try {
      const test::RawClient client(socket());
      return true;
    } catch (const Error&) {
      return false;
    }
  });
}

int World::wait() {
  int status = 0;
  if (sys::retry_eintr([&] { return ::waitpid(overlayd_, &status, 0); }) < 0) {
    throw_errno("wait for", "overlayd");
  }
  overlayd_ = -1;
  return status;
}

void World::stop() {
  ::kill(overlayd_, SIGTERM);
  const int status = wait();
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) fail("overlayd did not stop as it should");
  check_log();
}

void World::kill() {
  ::kill(overlayd_, SIGKILL);
  const int status = wait();
  if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) fail("overlayd ended before the kill");
  check_log();
}

// What could not be undone or deleted it says there, and nowhere else.
void World::check_log() const {
  const std::string log = read_log();
  for (const char* bad :
       {" behind: ", "cannot delete", "internal error", "stays until", "though nobody holds it"}) {
    if (log.find(bad) != std::string::npos) fail(std::string("overlayd's log has '") + bad + "'");
  }
}

std::string World::read_log() const {
  const std::string log = directory_ + "/log";
  return sys::read_file(AT_FDCWD, log, std::filesystem::file_size(log));
}

std::string World::end_of_log() const {
  const std::string log = read_log();
  return log.substr(log.size() - std::min(log.size(), size_t{6000}));
}

// ---------------------------------------------------------------------------------------- programs

void World::edit(const std::string& id, bool mounted, const Edit& edit) {
  const UniqueFd root = open_directory(path_of(id, mounted ? "merged" : "diff"));
  if (edit.kind == Edit::Kind::Remove || edit.kind == Edit::Kind::Replace) {
    sys::remove_tree(root.get(), edit.path);
  }
  if (edit.kind == Edit::Kind::MakeDirectory || edit.kind == Edit::Kind::Replace) {
    sys::mkdirat(root.get(), edit.path, 0755);
  }
  if (edit.kind == Edit::Kind::Write) write_file(root.get(), edit.path, edit.file);
  if (edit.kind == Edit::Kind::Replace) write_file(root.get(), edit.path + "/a", edit.file);
}

void World::unmount(const std::string& id) {
  leave(id);
  const std::string merged = path_of(id, "merged");
  if (::umount2(merged.c_str(), 0) != 0) throw_errno("unmount", merged);
}

void World::enter(const std::string& id) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw_errno("make", "a pipe");
  const UniqueFd from(ends[0]);
  UniqueFd to(ends[1]);
  const std::string root = path_of(id, "merged");
  const pid_t child = ::fork();
  if (child < 0) throw_errno("start", "a process");
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::chroot(root.c_str()) != 0 || ::chdir("/") != 0 || ::write(to.get(), "x", 1) != 1) {
      ::_exit(1);
    }
    for (;;) ::pause();
  }
  to.reset();
  inside_[id] = child;
  std::array<std::byte, 1> sign;
  if (sys::read_full(from.get(), sign) != 1) fail("no process can enter " + root);
}

void World::leave(const std::string& id) {
  const auto found = inside_.find(id);
  if (found == inside_.end()) return;
  ::kill(found->second, SIGKILL);
  ::waitpid(found->second, nullptr, 0);
  inside_.erase(found);
}

void World::leave_all_but(const std::set<std::string>& ids) {
  const auto inside = inside_;
  for (const auto& [id, process] : inside) {
    if (!ids.contains(id)) leave(id);
  }
}

bool World::is_empty(const std::string& id) const {
  return std::filesystem::is_empty(path_of(id, "diff"));
}

Found World::look() const { return model::look(home(), directory_ + "/state", inside_); }

void World::end() {
  end_stranger(home() + "/" + kStranger);
  end_stranger(directory_ + "/near");
}

}  // namespace overlayd::model
