// SPDX-License-Identifier: Apache-2.0
#include "core/confinement.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <thread>

#include <doctest/doctest.h>

#include "core/error.h"
#include "core/sys.h"
#include "core/whiteout.h"
#include "tests/integration/overlay_fixture.h"
#include "tests/support/root_sandbox.h"
#include "tests/support/tree_dump.h"

namespace overlayd::test {
namespace {

struct InsideAndOutside {
  RootSandbox sandbox;
  UniqueFd inside, outside, readable;

  InsideAndOutside() {
    make_dirs(sandbox.fd(), "inside/sub");
    make_dirs(sandbox.fd(), "outside/sub");
    put_file(sandbox.fd(), "outside/secret", "secret");
    inside = sys::openat(sandbox.fd(), "inside", O_RDONLY | O_DIRECTORY);
    make_dirs(sandbox.fd(), "readable");
    put_file(sandbox.fd(), "readable/file", "data");
    readable = sys::openat(sandbox.fd(), "readable", O_RDONLY | O_DIRECTORY);
    outside = sys::openat(sandbox.fd(), "outside", O_RDONLY | O_DIRECTORY);
  }
};

int error_of(int result) { return result < 0 ? errno : 0; }

TEST_SUITE("confinement") {
  TEST_CASE("this machine confines with Landlock") {
    CHECK(available_confinement() == Confinement::Landlocked);
  }

  TEST_CASE("confined work does all that extraction takes below its root") {
    InsideAndOutside at;
    run_confined(at.inside.get(), at.readable.get(), [&] {
      put_file(at.inside.get(), "sub/file", "data");
      CHECK(::linkat(at.inside.get(), "sub/file", at.inside.get(), "link", 0) == 0);
      CHECK(::symlinkat("x", at.inside.get(), "symlink") == 0);
      CHECK(::mknodat(at.inside.get(), "fifo", S_IFIFO | 0600, 0) == 0);
      whiteout::make(at.inside.get(), "gone");
      whiteout::set_opaque({at.inside.get(), "sub"});
      CHECK(::fchownat(at.inside.get(), "sub/file", 1000, 1000, 0) == 0);
      CHECK(::fchmodat(at.inside.get(), "sub/file", 04755, 0) == 0);
      xattr::set({at.inside.get(), "sub/file"}, "security.capability",
                 std::string("\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20));
      CHECK(sys::remove_tree(at.inside.get(), "link"));
    });
    CHECK(tree_dump(at.inside.get()).size() == 6);
  }

  TEST_CASE("confined work reaches nothing outside, even through descriptors it was given") {
    InsideAndOutside at;
    const std::string before = tree_text(at.outside.get(), {.mtimes = true});
    const int in = at.inside.get();
    const int out = at.outside.get();
    run_confined(in, at.readable.get(), [&] {
      CHECK(error_of(::openat(out, "secret", O_RDONLY)) == EACCES);
      CHECK(error_of(::openat(out, "new", O_WRONLY | O_CREAT, 0600)) == EACCES);
      CHECK(error_of(::mkdirat(out, "new", 0700)) == EACCES);
      CHECK(error_of(::mknodat(out, "new", S_IFCHR, 0)) == EACCES);
      CHECK(error_of(::symlinkat("x", out, "new")) == EACCES);
      CHECK(::linkat(out, "secret", in, "leak", 0) != 0);
      CHECK(::renameat(out, "secret", in, "leak") != 0);
      CHECK(error_of(::unlinkat(out, "secret", 0)) == EACCES);
      CHECK(error_of(::unlinkat(out, "sub", AT_REMOVEDIR)) == EACCES);
      CHECK(error_of(::open("/proc/self/status", O_RDONLY)) == EACCES);
    });
    CHECK(tree_text(at.outside.get(), {.mtimes = true}) == before);
  }

  TEST_CASE("confined work reads, but does not change, what it may read") {
    InsideAndOutside at;
    const int readable = at.readable.get();
    run_confined(at.inside.get(), readable, [&] {
      CHECK(content_of(readable, "file") == "data");
      CHECK(error_of(::openat(readable, "file", O_WRONLY)) == EACCES);
      CHECK(error_of(::openat(readable, "new", O_WRONLY | O_CREAT, 0600)) == EACCES);
      CHECK(error_of(::unlinkat(readable, "file", 0)) == EACCES);
    });
  }

  TEST_CASE("confined work has lost the capabilities that it does not need") {
    InsideAndOutside at;
    run_confined(at.inside.get(), at.readable.get(),
                 [&] { CHECK(error_of(::chroot(".")) == EPERM); });
  }

  TEST_CASE("a thread that confined work starts is as confined") {
    InsideAndOutside at;
    run_confined(at.inside.get(), at.readable.get(), [&] {
      std::thread([&] {
        CHECK(error_of(::openat(at.outside.get(), "secret", O_RDONLY)) == EACCES);
        CHECK(error_of(::mkdirat(at.outside.get(), "new", 0700)) == EACCES);
        CHECK(error_of(::chroot(".")) == EPERM);
        put_file(at.inside.get(), "file", "data");
      }).join();
    });
    CHECK(content_of(at.inside.get(), "file") == "data");
  }

  TEST_CASE("the caller keeps all its rights") {
    InsideAndOutside at;
    run_confined(at.inside.get(), at.readable.get(), [] {});
    put_file(at.outside.get(), "new", "data");
    CHECK(content_of(at.outside.get(), "new") == "data");
  }

  TEST_CASE("an exception in confined work reaches the caller") {
    InsideAndOutside at;
    CHECK_THROWS_WITH_AS(run_confined(at.inside.get(), at.readable.get(),
                                      [] { throw Error(ErrorKind::BadArchive, "no good"); }),
                         "no good", Error);
  }
}

}  // namespace
}  // namespace overlayd::test
