// SPDX-License-Identifier: Apache-2.0
//
// The command line of the crash explorer; scripts/crash explains it and starts it where it may
// mount what it likes.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>

#include "tests/crash/explorer.h"

namespace {

using namespace overlayd::test;

ExplorerOptions parse(int argc, char** argv) {
  ExplorerOptions options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i], value = argv[i + 1];
    if (name == "--fs" && (value == "ext4" || value == "xfs")) {
      options.file_system = value == "xfs" ? FileSystem::Xfs : FileSystem::Ext4;
    } else if (name == "--scratch") {
      options.scratch = value;
    } else if (name == "--durability" && overlayd::parse_durability(value)) {
      options.durability = *overlayd::parse_durability(value);
    } else if (name == "--docker") {
      options.docker = value;
    } else if (name == "--images") {
      options.images = std::stoull(value);
    } else if (name == "--seed") {
      options.seed = std::stoull(value);
    } else if (name == "--jobs") {
      options.jobs = static_cast<unsigned>(std::stoul(value));
    } else {
      throw std::invalid_argument("what does " + name + " " + value + " mean?");
    }
  }
  return options;
}

void print(const Counts& counts) {
  std::string line = "recordings " + std::to_string(counts.recordings) + " images " +
                     std::to_string(counts.images) + " bad " + std::to_string(counts.bad_images);
  for (size_t i = 0; i < counts.violations.size(); ++i) {
    line += std::string(" ") + to_string(static_cast<Violation::Kind>(i)) + " " +
            std::to_string(counts.violations[i]);
  }
  std::puts(line.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Counts counts = explore(parse(argc, argv));
    print(counts);
    return counts.bad_images == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "crash explorer: %s\n", error.what());
    return 2;
  }
}
