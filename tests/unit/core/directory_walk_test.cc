// SPDX-License-Identifier: Apache-2.0
#include "core/directory_walk.h"

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
using Paths = std::vector<std::string>;

MergedDir merged(int fd) {
  std::vector<UniqueFd> layers;
  layers.push_back(sys::openat(fd, ".", O_RDONLY | O_DIRECTORY));
  return MergedDir(std::move(layers));
}

// Directories `width` wide and `depth` deep; returns their paths as prefixes.
Paths make_tree(int fd, const std::string& prefix, int width, int depth) {
  Paths made;
  for (int i = 0; depth > 0 && i < width; ++i) {
    const std::string path = prefix + std::to_string(i);
    sys::mkdirat(fd, path, 0755);
    made.push_back(path + "/");
    std::ranges::move(make_tree(fd, path + "/", width, depth - 1), std::back_inserter(made));
  }
  return made;
}

/// What was visited, by thread.
class Log {
 public:
  DirectoryWalk::Visit visit() {
    return [this](const DirectoryWalk::Visited& directory) {
      seen_[directory.thread].push_back(directory.prefix);
    };
  }

  Paths sorted() const {
    Paths all = seen_[0];
    all.insert(all.end(), seen_[1].begin(), seen_[1].end());
    std::ranges::sort(all);
    return all;
  }

 private:
  std::array<Paths, DirectoryWalk::kThreads> seen_;
};

TEST_SUITE("directory_walk") {
  TEST_CASE("every directory is visited once, by whichever thread") {
    const TempDir dir;
    Paths expected = make_tree(dir.fd(), "", 10, 3);
    expected.emplace_back();
    std::ranges::sort(expected);
    Log log;
    DirectoryWalk(log.visit()).run(merged(dir.fd()), "");
    CHECK(log.sorted() == expected);
  }

  TEST_CASE("a walk that visits some directories of another can be run again") {
    const TempDir dir;
    make_tree(dir.fd(), "", 3, 2);
    const MergedDir root = merged(dir.fd());
    Log log;
    DirectoryWalk walk(log.visit());
    walk.run(root, {*root.find("0")}, "/");
    walk.run(root, {*root.find("2")}, "/");
    CHECK(log.sorted() ==
          Paths{"/0/", "/0/0/", "/0/1/", "/0/2/", "/2/", "/2/0/", "/2/1/", "/2/2/"});
  }

  TEST_CASE("the first error ends the walk, and no visit is under way any more") {
    const TempDir dir;
    make_tree(dir.fd(), "", 10, 3);
    for (const int failing : {1, 500}) {
      CAPTURE(failing);
      std::atomic<int> begun = 0;
      std::atomic<int> ended = 0;
      DirectoryWalk walk([&](const DirectoryWalk::Visited&) {
        const bool fails = ++begun == failing;
        ++ended;
        if (fails) throw Error(ErrorKind::Busy, "enough");
      });
      CHECK_THROWS_WITH_AS(walk.run(merged(dir.fd()), ""), "enough", Error);
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
    DirectoryWalk walk([&](const DirectoryWalk::Visited& directory) {
      deepest = directory.depth;
      CHECK(directory.list.size() == (deepest < 500 ? 1 : 0));
    });
    walk.run(merged(dir.fd()), "");
    CHECK(deepest == 500);
  }
}

}  // namespace
}  // namespace overlayd
