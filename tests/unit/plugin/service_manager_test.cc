// SPDX-License-Identifier: Apache-2.0
#include "plugin/service_manager.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

#include <doctest/doctest.h>

#include "core/error.h"
#include "core/unique_fd.h"
#include "tests/support/temp_dir.h"

namespace overlayd {
namespace {

// A service manager's end, at a path or, where the name begins with '@', in the abstract namespace;
// for as long as it lives NOTIFY_SOCKET names it.
class Manager {
 public:
  explicit Manager(const std::string& name) : socket_(::socket(AF_UNIX, SOCK_DGRAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name.data(), name.size());
    if (name.front() == '@') address.sun_path[0] = '\0';
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    REQUIRE(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0);
    ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
  }
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;
  ~Manager() { ::unsetenv("NOTIFY_SOCKET"); }

  /// The next message; empty if none has come.
  std::string heard() const {
    std::array<char, 256> buffer{};
    const ssize_t size = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    return {buffer.data(), size > 0 ? static_cast<size_t>(size) : 0};
  }

  void close() { socket_.reset(); }

 private:
  UniqueFd socket_;
};

TEST_SUITE("service_manager") {
  TEST_CASE("a manager with a socket in the file system is told, each time in a message") {
    const test::TempDir scratch;
    const Manager manager(scratch / "notify");
    tell_service_manager("READY=1\nSTATUS=up");
    tell_service_manager("STOPPING=1");
    CHECK(manager.heard() == "READY=1\nSTATUS=up");
    CHECK(manager.heard() == "STOPPING=1");
    CHECK(manager.heard().empty());
  }

  TEST_CASE("a manager with an abstract socket is told") {
    const Manager manager("@overlayd-test-" + std::to_string(::getpid()));
    tell_service_manager("READY=1");
    CHECK(manager.heard() == "READY=1");
  }

  TEST_CASE("without a manager nothing is told") {
    ::unsetenv("NOTIFY_SOCKET");
    CHECK_NOTHROW(tell_service_manager("READY=1"));
    ::setenv("NOTIFY_SOCKET", "", 1);
    CHECK_NOTHROW(tell_service_manager("READY=1"));
    ::unsetenv("NOTIFY_SOCKET");
  }

  TEST_CASE("a manager that has gone is an error") {
    const test::TempDir scratch;
    Manager manager(scratch / "notify");
    manager.close();
    CHECK_THROWS_AS(tell_service_manager("READY=1"), SysError);
  }

  TEST_CASE("what no socket can be named is refused") {
    for (const std::string& name : {std::string("notify"), "/" + std::string(108, 'n')}) {
      ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
      CHECK_THROWS_AS(tell_service_manager("READY=1"), Error);
    }
    ::unsetenv("NOTIFY_SOCKET");
  }

  TEST_CASE("a descriptor is the journal if JOURNAL_STREAM names what it is open on") {
    const test::TempDir scratch;
    scratch.write("journal", "");
    scratch.write("other", "");
    const UniqueFd journal(::open((scratch / "journal").c_str(), O_RDONLY | O_CLOEXEC));
    const UniqueFd other(::open((scratch / "other").c_str(), O_RDONLY | O_CLOEXEC));
    struct stat info {};
    REQUIRE(::fstat(journal.get(), &info) == 0);
    CHECK_FALSE(is_journal(journal.get()));
    const std::string name = std::to_string(info.st_dev) + ":" + std::to_string(info.st_ino);
    ::setenv("JOURNAL_STREAM", name.c_str(), 1);
    CHECK(is_journal(journal.get()));
    CHECK_FALSE(is_journal(other.get()));
    CHECK_FALSE(is_journal(-1));
    ::setenv("JOURNAL_STREAM", "nonsense", 1);
    CHECK_FALSE(is_journal(journal.get()));
    ::unsetenv("JOURNAL_STREAM");
  }
}

}  // namespace
}  // namespace overlayd
