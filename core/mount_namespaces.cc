// SPDX-License-Identifier: Apache-2.0
#include "core/mount_namespaces.h"

#include <fcntl.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>

#include "core/error.h"
#include "core/sys.h"

namespace overlayd {
namespace {

// 0 for what is no process.
pid_t pid_of(const std::string& name) {
  pid_t pid = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
  return error == std::errc() && end == name.data() + name.size() ? pid : 0;
}

// stat(2) follows the link to the namespace itself. 0: it has ended, or is somebody else's.
uint64_t namespace_of(int proc, const std::string& process) {
  try {
    const auto info = sys::try_fstatat(proc, process + "/ns/mnt", 0);
    return info ? info->st_ino : 0;
  } catch (const SysError&) {
    return 0;
  }
}

// Of the first process that is still there to be asked.
void read_mounts(MountNamespace& space) {
  constexpr size_t kMaxName = 64;
  for (const pid_t pid : space.processes) {
    const std::string process = "/proc/" + std::to_string(pid);
    try {
      space.mounts = read_mountinfo(process);
      space.command = sys::try_read_file(AT_FDCWD, process + "/comm", kMaxName).value_or("");
    } catch (const SysError& error) {
      if (tells_of_want(error.errnum())) throw;
      continue;
    }
    while (space.command.ends_with('\n')) space.command.pop_back();
    if (!space.mounts.empty()) return;
  }
}

}  // namespace

std::vector<MountNamespace> read_mount_namespaces() {
  const UniqueFd proc = sys::open_path_dir(AT_FDCWD, "/proc");
  const uint64_t own = namespace_of(proc.get(), "self");
  std::map<uint64_t, MountNamespace> by_number;
  for (const sys::DirEntry& entry : sys::list_directory(proc.get())) {
    const pid_t pid = pid_of(entry.name);
    const uint64_t number = pid > 0 ? namespace_of(proc.get(), entry.name) : 0;
    if (number == 0) continue;
    MountNamespace& space = by_number[number];
    space.number = number;
    space.is_own = number == own;
    space.processes.push_back(pid);
  }
  std::vector<MountNamespace> all;
  for (auto& [number, space] : by_number) {
    std::ranges::sort(space.processes);
    read_mounts(space);
    all.push_back(std::move(space));
  }
  std::ranges::sort(all, {}, [](const MountNamespace& space) { return space.processes.front(); });
  return all;
}

bool show_the_same(const MountEntry& one, const MountEntry& other) {
  return one.major == other.major && one.minor == other.minor && one.root == other.root;
}

}  // namespace overlayd
