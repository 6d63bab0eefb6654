// SPDX-License-Identifier: Apache-2.0
#include "tests/support/facilities.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sstream>

namespace overlayd::test {
namespace {

// Runs in a child of its own: the mounts die with its namespace.
bool try_overlay() {
  const char* options = "lowerdir=/tmp/lower,upperdir=/tmp/upper,workdir=/tmp/work";
  return ::unshare(CLONE_NEWNS) == 0 &&
         ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount("none", "/tmp", "tmpfs", 0, nullptr) == 0 && ::mkdir("/tmp/lower", 0755) == 0 &&
         ::mkdir("/tmp/upper", 0755) == 0 && ::mkdir("/tmp/work", 0755) == 0 &&
         ::mkdir("/tmp/merged", 0755) == 0 &&
         ::mount("none", "/tmp/merged", "overlay", 0, options) == 0;
}

bool detect_overlayfs() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(try_overlay() ? 0 : 1);
  int status = 1;
  return child > 0 && ::waitpid(child, &status, 0) == child && WIFEXITED(status) &&
         WEXITSTATUS(status) == 0;
}

}  // namespace

const Facilities& facilities() {
  static const Facilities detected{.root = ::geteuid() == 0, .overlayfs = detect_overlayfs()};
  return detected;
}

std::vector<std::string> missing_facilities(const std::string& names) {
  std::vector<std::string> missing;
  std::istringstream list(names);
  for (std::string name; std::getline(list, name, ',');) {
    const bool present =
        (name == "root" && facilities().root) || (name == "overlayfs" && facilities().overlayfs);
    if (!name.empty() && !present) missing.push_back(name);
  }
  return missing;
}

}  // namespace overlayd::test
