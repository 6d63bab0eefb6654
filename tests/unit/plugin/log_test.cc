// SPDX-License-Identifier: Apache-2.0
#include "plugin/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>

#include <doctest/doctest.h>

#include "tests/support/temp_dir.h"

namespace overlayd {
namespace {

// What `work` writes to stderr.
template <typename Work>
std::string stderr_of(Work work) {
  const test::TempDir directory;
  const std::string file = directory.path() + "/stderr";
  const int kept = ::dup(STDERR_FILENO);
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  REQUIRE(::dup2(fd, STDERR_FILENO) == STDERR_FILENO);
  work();
  REQUIRE(::dup2(kept, STDERR_FILENO) == STDERR_FILENO);
  ::close(fd);
  ::close(kept);
  std::ifstream in(file);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

std::string lines(LogFormat format, LogTarget target) {
  return stderr_of([&] {
    Log log(LogLevel::Debug, format, target);
    log.debug("a");
    log.info("b");
    log.warning("c");
    log.error("d");
  });
}

bool is_time(const std::string& text) {
  std::string shape = text;
  for (char& c : shape) {
    if (c >= '0' && c <= '9') c = '0';
  }
  return shape == "0000-00-00T00:00:00.000Z";
}

TEST_SUITE("log") {
  TEST_CASE("a line of text has its time and level in front") {
    const std::string text =
        stderr_of([] { Log(LogLevel::Info).warning("something is in the way"); });
    REQUIRE(text.size() > 24);
    CHECK(is_time(text.substr(0, 24)));
    CHECK(text.substr(24) == " warning: something is in the way\n");
  }

  TEST_CASE("a journal gets the priority in place of the time") {
    CHECK(lines(LogFormat::Text, LogTarget::Journal) ==
          "<7>debug: a\n<6>info: b\n<4>warning: c\n<3>error: d\n");
  }

  TEST_CASE("an object of JSON keeps its time, and a journal gets the priority in front") {
    const std::string plain = stderr_of([] { Log(LogLevel::Info, LogFormat::Json).error("d"); });
    CHECK(plain.starts_with("{\"time\":\""));
    CHECK(is_time(plain.substr(9, 24)));
    CHECK(plain.substr(33) == "\",\"level\":\"error\",\"message\":\"d\"}\n");
    const std::string text = lines(LogFormat::Json, LogTarget::Journal);
    CHECK(text.starts_with("<7>{\"time\":\""));
    CHECK(text.find("\n<3>{\"time\":\"") != std::string::npos);
  }

  TEST_CASE("what is below the level is not written") {
    CHECK(stderr_of([] { Log(LogLevel::Warning).info("b"); }).empty());
    CHECK(stderr_of([] { Log(LogLevel::Off).error("d"); }).empty());
  }
}

}  // namespace
}  // namespace overlayd
