// SPDX-License-Identifier: Apache-2.0
#include "plugin/process_usage.h"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <system_error>

namespace overlayd {
namespace {

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

size_t entries_of(const char* directory) {
  std::error_code error;
  size_t count = 0;
  std::filesystem::directory_iterator at(directory, error);
  for (; !error && at != std::filesystem::directory_iterator(); at.increment(error)) ++count;
  return count;
}

size_t resident_pages() {
  size_t all = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> all >> resident;
  return resident;
}

}  // namespace

ProcessUsage process_usage() {
  ProcessUsage usage{.resident_bytes = resident_pages() * static_cast<size_t>(::getpagesize()),
                     .open_fds = entries_of("/proc/self/fd"),  // with the one that reads this
                     .threads = entries_of("/proc/self/task")};
  rusage used{};
  if (::getrusage(RUSAGE_SELF, &used) == 0) {
    usage.cpu_seconds = seconds(used.ru_utime) + seconds(used.ru_stime);
  }
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) usage.max_fds = limit.rlim_cur;
  return usage;
}

}  // namespace overlayd
