// SPDX-License-Identifier: Apache-2.0
#include "core/layer_digests.h"

#include <fcntl.h>

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "core/error.h"
#include "core/sys.h"
#include "tests/support/temp_dir.h"

namespace overlayd {
namespace {

using Files = std::vector<RecordedFile>;

std::string written(const test::TempDir& directory, const Files& files) {
  DigestsWriter writer(sys::openat(directory.fd(), "digests", O_WRONLY | O_CREAT | O_TRUNC, 0600));
  for (const RecordedFile& file : files) writer.add(file);
  writer.finish();
  return directory.read("digests");
}

Files read(const test::TempDir& directory, const std::string& text) {
  directory.write("copy", text);
  Files files;
  const UniqueFd fd = sys::openat(directory.fd(), "copy", O_RDONLY);
  read_digests(fd.get(), [&](RecordedFile file) { files.push_back(std::move(file)); });
  return files;
}

bool is_refused(const test::TempDir& directory, const std::string& text) {
  try {
    read(directory, text);
    return false;
  } catch (const Error& error) {
    return error.kind() == ErrorKind::Corrupt;
  }
}

Files some_files() {
  return {
      {.kind = FileKind::Regular,
       .mode = 04755,
       .uid = UINT32_MAX,
       .gid = 7,
       .size = UINT64_MAX,
       .digest = {.high = UINT64_MAX, .low = 1},
       .path = "bin/su"},
      {.kind = FileKind::Symlink, .mode = 0777, .size = 3, .digest = digest_of("sue"), .path = "s"},
      {.kind = FileKind::HardLink, .digest = digest_of("bin/su"), .path = "h"},
      {.kind = FileKind::CharDevice, .mode = 0600, .size = 0x103, .path = "null"},
      {.kind = FileKind::Whiteout, .path = "a name\nwith = \xff and  blanks "},
      {.kind = FileKind::Fifo, .path = std::string(4096, 'p')},
  };
}

Files many_files() {
  Files files;
  for (size_t i = 0; i < 5000; ++i) {
    files.push_back({.size = i, .digest = digest_of(std::to_string(i))});
    files.back().path = std::string(i % 300 + 1, '/') + std::to_string(i);
  }
  return files;
}

TEST_SUITE("layer digests") {
  TEST_CASE("what is recorded can be read, whatever files are called") {
    const test::TempDir directory;
    for (const Files& files : {Files{}, some_files(), many_files()}) {
      CHECK(read(directory, written(directory, files)) == files);
    }
  }

  TEST_CASE("the format is as the header draws it") {
    const test::TempDir directory;
    std::string text = written(
        directory,
        {{.mode = 0640, .uid = 1, .gid = 2, .size = 1, .digest = digest_of("a"), .path = "etc/a"}});
    for (char& byte : text) {
      if (byte == '\0') byte = '\n';
    }
    const std::string body =
        "overlayd digests 1\n"
        "f 640 1 2 1 a96faf705af16834e6c632b61e964e1f etc/a\n";
    CHECK(text.starts_with(body + "= "));
    CHECK(text.size() == body.size() + 35);
  }

  TEST_CASE("a record that is not whole is refused, wherever it is cut") {
    const test::TempDir directory;
    const std::string text = written(directory, some_files());
    for (size_t length = 0; length < text.size(); ++length) {
      CAPTURE(length);
      std::string torn = text.substr(0, length);
      CHECK(is_refused(directory, torn));
      torn.resize(text.size());
      CHECK(is_refused(directory, torn) == (torn != text));  // it ends in a zero
    }
    CHECK(is_refused(directory, text + "x"));
    CHECK(is_refused(directory, text + text));
  }

  TEST_CASE("a record with one bit changed is refused, whichever") {
    const test::TempDir directory;
    const std::string text = written(directory, some_files());
    for (size_t at = 0; at < text.size(); ++at) {
      CAPTURE(at);
      std::string other = text;
      other[at] = static_cast<char>(other[at] ^ (1 << at % 8));
      CHECK(is_refused(directory, other));
    }
  }

  TEST_CASE("what is no record is refused before it fills the memory") {
    const test::TempDir directory;
    CHECK(is_refused(directory, std::string(1'000'000, 'x')));
    CHECK(is_refused(directory, std::string("overlayd digests 2\0= ", 21)));
  }

  TEST_CASE("a record that starts over has only what came then") {
    const test::TempDir directory;
    DigestsWriter writer(sys::openat(directory.fd(), "digests", O_WRONLY | O_CREAT, 0600));
    for (const RecordedFile& file : many_files()) writer.add(file);
    writer.start_over();
    for (const RecordedFile& file : some_files()) writer.add(file);
    writer.finish();
    CHECK(read(directory, directory.read("digests")) == some_files());
  }
}

}  // namespace
}  // namespace overlayd
