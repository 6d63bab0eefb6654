// SPDX-License-Identifier: Apache-2.0
#include "core/sys.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "core/error.h"
#include "core/scope_exit.h"
#include "core/stream.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tree_dump.h"

namespace overlayd {
namespace {

using test::TempDir;

mode_t mode_of(const TempDir& dir, const std::string& name) {
  return sys::fstatat(dir.fd(), name).st_mode & 07777;
}

bool exists(const TempDir& dir, const std::string& name) {
  return sys::try_fstatat(dir.fd(), name).has_value();
}

TEST_SUITE("sys") {
  TEST_CASE("modes are exact whatever the umask") {
    const TempDir dir;
    const mode_t before = ::umask(077);
    const ScopeExit restore([&] { ::umask(before); });
    CHECK(sys::mkdirat(dir.fd(), "d", 0757));
    CHECK(sys::mkdirat(dir.fd(), "set-id", 06711));
    sys::write_file_atomically(dir.fd(), "f", "x", 0666);
    CHECK(mode_of(dir, "d") == 0757);
    CHECK(mode_of(dir, "set-id") == 06711);
    CHECK(mode_of(dir, "f") == 0666);
  }

  TEST_CASE("a directory takes no set-group-id bit from its parent") {
    const TempDir dir;
    CHECK(sys::mkdirat(dir.fd(), "parent", 02755));
    CHECK(sys::mkdirat(dir.fd(), "parent/child", 0755));
    CHECK(mode_of(dir, "parent/child") == 0755);
  }

  TEST_CASE("making a directory that exists changes nothing") {
    const TempDir dir;
    CHECK(sys::mkdirat(dir.fd(), "d", 0700));
    CHECK_FALSE(sys::mkdirat(dir.fd(), "d", 0755));
    CHECK(mode_of(dir, "d") == 0700);
    dir.write("f", "");
    CHECK_FALSE(sys::mkdirat(dir.fd(), "f", 0755));
    CHECK_THROWS_AS(sys::mkdirat(dir.fd(), "missing/d", 0755), SysError);
  }

  TEST_CASE("absence is a value in the try functions and an error in the others") {
    const TempDir dir;
    dir.write("f", "");
    for (const std::string& name : {std::string("missing"), std::string("f/below")}) {
      CAPTURE(name);
      CHECK_FALSE(sys::try_openat(dir.fd(), name, O_RDONLY));
      CHECK_FALSE(sys::try_fstatat(dir.fd(), name));
      CHECK_FALSE(sys::try_readlinkat(dir.fd(), name));
      CHECK_FALSE(sys::try_read_file(dir.fd(), name, 10));
      CHECK_FALSE(sys::unlinkat(dir.fd(), name, 0));
    }
    CHECK_THROWS_WITH_AS(sys::openat(dir.fd(), "missing", O_RDONLY),
                         "open 'missing': No such file or directory", SysError);
    CHECK_THROWS_WITH_AS(sys::fstatat(dir.fd(), "missing"),
                         "stat 'missing': No such file or directory", SysError);
    CHECK_THROWS_AS(sys::readlinkat(dir.fd(), "missing"), SysError);
    CHECK_THROWS_AS(sys::read_file(dir.fd(), "missing", 10), SysError);
    CHECK_THROWS_AS(sys::try_readlinkat(dir.fd(), "f"), SysError);  // there, but no symlink
  }

  TEST_CASE("symlink targets of any length are read whole") {
    const TempDir dir;
    for (const size_t length : std::vector<size_t>{1, 255, 256, 257, 1023, 1024, 4095}) {
      CAPTURE(length);
      const std::string target(length, 't'), name = "l" + std::to_string(length);
      sys::symlinkat(target, dir.fd(), name);
      CHECK(sys::readlinkat(dir.fd(), name) == target);
    }
  }

  TEST_CASE("an atomic write replaces the file and leaves nothing beside it") {
    const TempDir dir;
    sys::write_file_atomically(dir.fd(), "f", "old", 0600);
    const UniqueFd reader = sys::openat(dir.fd(), "f", O_RDONLY);
    sys::write_file_atomically(dir.fd(), "f", "new content", 0644);
    CHECK(dir.read("f") == "new content");
    char old[4] = {};
    CHECK(sys::read_full(reader.get(), std::as_writable_bytes(std::span(old))) == 3);
    CHECK(std::string(old) == "old");
    CHECK(sys::list_directory(dir.fd()).size() == 1);
  }

  TEST_CASE("an atomic write that fails leaves the old file and nothing beside it") {
    const TempDir dir;
    CHECK(sys::mkdirat(dir.fd(), "d", 0755));
    dir.write("d/inside", "");
    CHECK_THROWS_AS(sys::write_file_atomically(dir.fd(), "d", "x", 0644), SysError);
    CHECK(exists(dir, "d/inside"));
    CHECK(sys::list_directory(dir.fd()).size() == 1);
    CHECK_THROWS_AS(sys::write_file_atomically(dir.fd(), "missing/f", "x", 0644), SysError);
  }

  TEST_CASE("an atomic write does not follow a symlink lying in its way") {
    const TempDir dir;
    dir.write("victim", "safe");
    sys::symlinkat("victim", dir.fd(), "f.new");
    CHECK_THROWS_AS(sys::write_file_atomically(dir.fd(), "f", "x", 0644), SysError);
    CHECK(dir.read("victim") == "safe");
  }

  TEST_CASE("files are read up to their limit and not beyond") {
    const TempDir dir;
    dir.write("f", "12345");
    CHECK(sys::read_file(dir.fd(), "f", 5) == "12345");
    CHECK_THROWS_WITH_AS(sys::read_file(dir.fd(), "f", 4), "'f' is longer than 4 bytes", Error);
    dir.write("empty", "");
    CHECK(sys::read_file(dir.fd(), "empty", 0).empty());
  }

  TEST_CASE("directories are listed by the bytes of their names") {
    const TempDir dir;
    const std::vector<std::string> names{".hidden", "A", "B", "a", "a b", "b", "\xc3\xa9", "\xff"};
    for (auto name = names.rbegin(); name != names.rend(); ++name) dir.write(*name, "");
    CHECK(sys::mkdirat(dir.fd(), "z", 0755));
    std::vector<std::string> listed;
    for (const auto& entry : sys::list_directory(dir.fd())) listed.push_back(entry.name);
    std::vector<std::string> expected = names;
    expected.insert(std::ranges::find(expected, "\xc3\xa9"), "z");
    CHECK(listed == expected);
    const UniqueFd handle = sys::open_path_dir(dir.fd(), ".");
    CHECK(sys::list_directory(handle.get()).size() == names.size() + 1);
  }

  TEST_CASE("a directory that was removed is empty") {
    const test::TempDir dir;
    for (const int flags : {O_RDONLY, O_PATH}) {
      REQUIRE(sys::mkdirat(dir.fd(), "gone", 0700));
      const UniqueFd gone = sys::openat(dir.fd(), "gone", flags | O_DIRECTORY);
      REQUIRE(::unlinkat(dir.fd(), "gone", AT_REMOVEDIR) == 0);
      CHECK(sys::list_directory(gone.get()).empty());
    }
  }

  TEST_CASE("removing a tree takes all of it and nothing that it links to") {
    const TempDir dir;
    const TempDir outside;
    outside.write("kept", "kept");
    CHECK(sys::mkdirat(dir.fd(), "tree", 0755));
    CHECK(sys::mkdirat(dir.fd(), "tree/a", 0755));
    CHECK(sys::mkdirat(dir.fd(), "tree/a/b", 0755));
    dir.write("tree/a/b/f", "x");
    dir.write("beside", "");
    sys::symlinkat(outside.path(), dir.fd(), "tree/a/out");
    sys::symlinkat(outside / "kept", dir.fd(), "tree/to-file");
    sys::symlinkat("nowhere", dir.fd(), "tree/dangling");
    CHECK(::mkfifo((dir / "tree/pipe").c_str(), 0644) == 0);

    CHECK(sys::remove_tree(dir.fd(), "tree"));
    CHECK_FALSE(sys::remove_tree(dir.fd(), "tree"));
    CHECK(sys::list_directory(dir.fd()).size() == 1);
    CHECK(outside.read("kept") == "kept");
  }

  TEST_CASE("a tree deeper than the stack is removed with few descriptors") {
    const TempDir dir;
    const auto make_deep = [&](const std::string& name, int depth) {
      CHECK(sys::mkdirat(dir.fd(), name, 0755));
      UniqueFd at = sys::openat(dir.fd(), name, O_RDONLY | O_DIRECTORY);
      while (depth-- > 0) {
        if (!sys::mkdirat(at.get(), "moved-0", 0755)) break;
        at = sys::openat(at.get(), "moved-0", O_RDONLY | O_DIRECTORY);
      }
      CHECK(sys::mkdirat(at.get(), "last", 0755));
    };
    make_deep("tree", 30'000);
    make_deep("tree/other", 500);
    rlimit old{};
    CHECK(::getrlimit(RLIMIT_NOFILE, &old) == 0);
    const rlimit few{300, old.rlim_max};
    CHECK(::setrlimit(RLIMIT_NOFILE, &few) == 0);
    const ScopeExit restore([&] { ::setrlimit(RLIMIT_NOFILE, &old); });
    CHECK(sys::remove_tree(dir.fd(), "tree"));
    CHECK(sys::list_directory(dir.fd()).empty());
  }

  TEST_CASE("removing a symlink to a directory removes the symlink") {
    const TempDir dir;
    const TempDir outside;
    outside.write("kept", "kept");
    sys::symlinkat(outside.path(), dir.fd(), "link");
    CHECK(sys::remove_tree(dir.fd(), "link"));
    CHECK_FALSE(exists(dir, "link"));
    CHECK(outside.read("kept") == "kept");
  }

  TEST_CASE("removing a tree stops when told to") {
    const TempDir dir;
    for (const char* name : {"tree", "tree/a", "tree/b", "tree/c"})
      CHECK(sys::mkdirat(dir.fd(), name, 0755));
    for (const char* name : {"tree/a/f", "tree/b/f", "tree/c/f"}) dir.write(name, "");
    int asked = 0;
    sys::remove_tree(dir.fd(), "tree", [&] { return ++asked < 4; });
    CHECK(asked == 4);
    CHECK_FALSE(exists(dir, "tree/a"));
    CHECK(exists(dir, "tree/b/f"));
    CHECK(exists(dir, "tree/c/f"));
  }

  TEST_CASE("a tree dump tells trees apart") {
    const TempDir dir;
    CHECK(sys::mkdirat(dir.fd(), "d", 0750));
    dir.write("d/f", "content");
    const std::string before = test::tree_text(dir.fd());
    CHECK(before.find("d: directory 0750 ") != std::string::npos);
    CHECK(before.find("d/f: file 0644 ") != std::string::npos);
    CHECK(before.find("'content'") != std::string::npos);
    dir.write("d/f", "contend");
    CHECK(test::tree_text(dir.fd()) != before);
    dir.write("d/f", "content");
    CHECK(test::tree_text(dir.fd()) == before);
    CHECK(::link((dir / "d/f").c_str(), (dir / "g").c_str()) == 0);
    CHECK(test::tree_text(dir.fd()).find("g: same as d/f") != std::string::npos);
  }

  TEST_CASE("random bytes are as many as asked for and not twice the same") {
    CHECK(sys::random_bytes(0).empty());
    CHECK(sys::random_bytes(16).size() == 16);
    CHECK(sys::random_bytes(16) != sys::random_bytes(16));
  }
}

}  // namespace
}  // namespace overlayd
