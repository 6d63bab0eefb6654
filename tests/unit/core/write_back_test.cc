// SPDX-License-Identifier: Apache-2.0
#include "core/write_back.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <span>
#include <string>

#include <doctest/doctest.h>

#include "core/error.h"
#include "core/sys.h"
#include "tests/support/root_sandbox.h"
#include "tests/support/temp_dir.h"

namespace overlayd {
namespace {

UniqueFd new_file(const test::TempDir& directory, int number) {
  const std::string path = directory.path() + "/f" + std::to_string(number);
  UniqueFd file = sys::openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL, 0600);
  sys::write_full(file.get(), std::as_bytes(std::span("x", 1)));
  return file;
}

/// sync_file_range(2) refuses it.
UniqueFd pipe_end() {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  ::close(ends[0]);
  return UniqueFd(ends[1]);
}

std::string error_of_one_bad(int files, int bad) {
  const test::TempDir directory;
  WriteBack write_back;
  for (int i = 0; i < files; ++i) {
    write_back.take(i == bad ? pipe_end() : new_file(directory, i), "f" + std::to_string(i));
  }
  try {
    write_back.finish();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_SUITE("write back") {
  TEST_CASE("files are closed when they have been written, however many") {
    for (const int count : {0, 1, 31, 32, 33, 1000}) {
      const size_t before = test::count_open_fds();
      CHECK(error_of_one_bad(count, -1) == "no error");
      CHECK(test::count_open_fds() == before);
    }
  }

  TEST_CASE("few files are open at a time") {
    const test::TempDir directory;
    const size_t before = test::count_open_fds();
    WriteBack write_back;
    size_t most = 0;
    for (int i = 0; i < 1000; ++i) {
      write_back.take(new_file(directory, i), "f");
      most = std::max(most, test::count_open_fds());
    }
    write_back.finish();
    CHECK(most - before <= 300);
  }

  TEST_CASE("the first file that cannot be written is named, with a thread and without") {
    for (const int count : {5, 31, 32, 1000}) {
      const size_t before = test::count_open_fds();
      const std::string error = error_of_one_bad(count, 3);
      CHECK(error.starts_with("file 'f3': write a file back: "));
      CHECK(test::count_open_fds() == before);
    }
  }

  TEST_CASE("what is abandoned is closed") {
    const size_t before = test::count_open_fds();
    {
      const test::TempDir directory;
      WriteBack write_back;
      for (int i = 0; i < 1000; ++i) write_back.take(new_file(directory, i), "f");
    }
    CHECK(test::count_open_fds() == before);
  }
}

}  // namespace overlayd
