// SPDX-License-Identifier: Apache-2.0
#include "core/directory_walk.h"

#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <iterator>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "core/error.h"
#include "core/scope_exit.h"
#include "core/sys.h"
#include "tests/support/temp_dir.h"

namespace overlayd {
namespace {

using test::TempDir;
using Names = std::vector<std::string>;

MergedDir merged(int fd) {
  std::vector<UniqueFd> layers;
  layers.push_back(sys::openat(fd, ".", O_RDONLY | O_DIRECTORY));
  return MergedDir(std::move(layers));
}

// Directories `width` wide and `depth` deep; returns their paths.
Names make_tree(int fd, const std::string& prefix, int width, int depth) {
  Names made;
  for (int i = 0; depth > 0 && i < width; ++i) {
    const std::string path = prefix + std::to_string(i);
    sys::mkdirat(fd, path, 0755);
    made.push_back(path);
    std::ranges::move(make_tree(fd, path + "/", width, depth - 1), std::back_inserter(made));
  }
  return made;
}

// A file in each directory, named as its path is with dashes.
Names mark(int fd, const Names& directories) {
  Names marks;
  for (const std::string& directory : directories) {
    std::string name = directory;
    std::ranges::replace(name, '/', '-');
    marks.push_back("in-" + name);
    sys::openat(fd, directory + "/" + marks.back(), O_WRONLY | O_CREAT, 0644);
  }
  std::ranges::sort(marks);
  return marks;
}

TEST_SUITE("directory_walk") {
  TEST_CASE("every directory is visited once, by whichever thread, and knows its path") {
    const TempDir dir;
    const Names expected = mark(dir.fd(), make_tree(dir.fd(), "", 10, 3));
    std::array<Names, kWalkThreads> seen;
    walk_directories(merged(dir.fd()), [&](const VisitedDirectory& directory) {
      for (const MergedDir::Entry& entry : directory.list) {
        if (entry.is_directory()) continue;
        std::string name = "in-" + directory.prefix;
        std::ranges::replace(name, '/', '-');
        CHECK(name == entry.name() + "-");
        seen[directory.thread].push_back(entry.name());
      }
    });
    Names all = seen[0];
    all.insert(all.end(), seen[1].begin(), seen[1].end());
    std::ranges::sort(all);
    CHECK(all == expected);
  }

  TEST_CASE("the first error ends the walk, and no visit is under way any more") {
    const TempDir dir;
    make_tree(dir.fd(), "", 10, 3);
    for (const int failing : {1, 500}) {
      CAPTURE(failing);
      std::atomic<int> begun = 0;
      std::atomic<int> ended = 0;
      const auto visit = [&](const VisitedDirectory&) {
        const bool fails = ++begun == failing;
        ++ended;
        if (fails) throw Error(ErrorKind::Busy, "enough");
      };
      CHECK_THROWS_WITH_AS(walk_directories(merged(dir.fd()), visit), "enough", Error);
      CHECK(begun == ended);
    }
  }

  TEST_CASE("directories above those that are visited do not stay open") {
    const TempDir dir;
    make_tree(dir.fd(), "", 1, 500);
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const rlimit few{.rlim_cur = 64, .rlim_max = before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
    const ScopeExit restore([&] { ::setrlimit(RLIMIT_NOFILE, &before); });
    size_t deepest = 0;
    walk_directories(merged(dir.fd()), [&](const VisitedDirectory& directory) {
      deepest = directory.depth;
      CHECK(directory.list.size() == (deepest < 500 ? 1 : 0));
    });
    CHECK(deepest == 500);
  }
}

}  // namespace
}  // namespace overlayd
