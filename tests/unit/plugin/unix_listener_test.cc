// SPDX-License-Identifier: Apache-2.0
#include "plugin/unix_listener.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <fstream>

#include <doctest/doctest.h>

#include "core/error.h"
#include "tests/support/raw_client.h"
#include "tests/support/temp_dir.h"

namespace overlayd {
namespace {

// What a process leaves that had no time to tidy up.
void leave_stale_socket(const std::filesystem::path& path) {
  const auto keep = path.string() + ".kept";
  {
    const UnixListener listener(path);
    std::filesystem::create_hard_link(path, keep);
  }
  std::filesystem::rename(keep, path);
}

size_t entries_of(const std::filesystem::path& dir) {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(dir), {}));
}

TEST_SUITE("unix_listener") {
  TEST_CASE("the socket is for its owner alone, in a directory made for it") {
    const test::TempDir scratch;
    const UnixListener listener(scratch / "run/plugin.sock");
    struct stat found {};
    REQUIRE(::stat((scratch / "run/plugin.sock").c_str(), &found) == 0);
    CHECK((found.st_mode & 07777) == 0600);
    REQUIRE(::stat((scratch / "run").c_str(), &found) == 0);
    CHECK((found.st_mode & 07777) == 0700);
    CHECK(entries_of(scratch / "run") == 1);
  }

  TEST_CASE("clients can connect before anybody accepts") {
    const test::TempDir scratch;
    const UnixListener listener(scratch / "plugin.sock");
    CHECK_NOTHROW(test::RawClient(scratch / "plugin.sock"));
  }

  TEST_CASE("a socket that nobody serves is replaced") {
    const test::TempDir scratch;
    leave_stale_socket(scratch / "plugin.sock");
    REQUIRE(std::filesystem::is_socket(scratch / "plugin.sock"));
    const UnixListener listener(scratch / "plugin.sock");
    CHECK_NOTHROW(test::RawClient(scratch / "plugin.sock"));
  }

  TEST_CASE("a socket that is served is refused and stays") {
    const test::TempDir scratch;
    const UnixListener listener(scratch / "plugin.sock");
    try {
      const UnixListener second(scratch / "plugin.sock");
      FAIL("not refused");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::Busy);
      CHECK(std::string(error.what()).find("already served by another process") !=
            std::string::npos);
    }
    CHECK_NOTHROW(test::RawClient(scratch / "plugin.sock"));
  }

  TEST_CASE("a file that is no socket is not replaced") {
    const test::TempDir scratch;
    std::ofstream(scratch / "plugin.sock") << "precious";
    CHECK_THROWS_AS(UnixListener(scratch / "plugin.sock"), Error);
    CHECK(std::filesystem::is_regular_file(scratch / "plugin.sock"));
  }

  TEST_CASE("closing removes the socket") {
    const test::TempDir scratch;
    UnixListener listener(scratch / "plugin.sock");
    listener.close();
    CHECK_FALSE(std::filesystem::exists(scratch / "plugin.sock"));
  }

  TEST_CASE("closing leaves a socket that has taken the place of ours") {
    const test::TempDir scratch;
    UnixListener first(scratch / "plugin.sock");
    std::filesystem::rename(scratch / "plugin.sock", scratch / "moved.sock");
    const UnixListener second(scratch / "plugin.sock");
    first.close();
    CHECK_NOTHROW(test::RawClient(scratch / "plugin.sock"));
  }

  TEST_CASE("a path longer than a socket address holds can be listened on") {
    const test::TempDir scratch;
    const std::string longer(120, 'd');
    CHECK_NOTHROW(UnixListener(scratch / (longer + "/plugin.sock")));
  }
}

}  // namespace
}  // namespace overlayd
