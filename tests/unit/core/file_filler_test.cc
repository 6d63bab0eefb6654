// SPDX-License-Identifier: Apache-2.0
#include "core/file_filler.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "core/error.h"
#include "core/sys.h"
#include "tests/support/eventually.h"
#include "tests/support/root_sandbox.h"
#include "tests/support/temp_dir.h"

namespace overlayd {
namespace {

std::string name_of(int number) { return "f" + std::to_string(number); }

NewFile new_file(const test::TempDir& directory, int number, uint64_t size) {
  return {.fd = sys::openat(directory.fd(), name_of(number), O_WRONLY | O_CREAT | O_EXCL, 0600),
          .member = {name_of(number), static_cast<uint64_t>(number) * 512},
          .size = size,
          .attributes = {.owner = {}, .mode = 0640},
          .mtime = {1'500'000'000, 7}};
}

TarReader::Data data_of(const std::string& text, uint64_t offset = 0) {
  const std::shared_ptr<std::byte[]> buffer(new std::byte[text.size()]);
  std::ranges::copy(std::as_bytes(std::span(text.data(), text.size())), buffer.get());
  return {offset, {buffer.get(), text.size()}, buffer};
}

std::string content_of_file(int number) {
  return std::string(static_cast<size_t>(number % 90), 'a') + ".";
}

void fill(FileFiller& filler, const test::TempDir& directory, int count) {
  for (int i = 0; i < count; ++i) {
    const std::string content = content_of_file(i);
    filler.begin(new_file(directory, i, content.size()));
    filler.add(data_of(content.substr(0, content.size() / 2)));
    filler.add(data_of(content.substr(content.size() / 2), content.size() / 2));
  }
}

/// Which of the data that was given is kept.
class Buffers {
 public:
  TarReader::Data note(TarReader::Data data) {
    all_.emplace_back(data.buffer);
    return data;
  }
  ptrdiff_t kept() const {
    return std::ranges::count_if(all_, [](const auto& buffer) { return !buffer.expired(); });
  }

 private:
  std::vector<std::weak_ptr<const std::byte[]>> all_;
};

/// Of `count` files, of which those from `bad` on are not open for writing.
std::string error_with_bad_files(int count, int bad) {
  const test::TempDir directory;
  FileFiller filler(nullptr);
  for (int i = 0; i < count; ++i) {
    NewFile file = new_file(directory, i, 1);
    if (i >= bad) file.fd = sys::openat(directory.fd(), name_of(i), O_RDONLY);
    filler.begin(std::move(file));
    filler.add(data_of("x"));
  }
  CHECK((!filler.has_failed() || bad < count));
  try {
    filler.finish();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST_SUITE("file filler") {
  TEST_CASE("files get their data, mode and times, with a thread and without") {
    for (const int count : {0, 1, 63, 64, 65, 1000}) {
      const size_t before = test::count_open_fds();
      const test::TempDir directory;
      {
        FileFiller filler(nullptr);
        fill(filler, directory, count);
        filler.finish();
      }
      for (int i = 0; i < count; ++i) {
        CAPTURE(i);
        REQUIRE(directory.read(name_of(i)) == content_of_file(i));
        const struct stat info = sys::fstatat(directory.fd(), name_of(i));
        CHECK((info.st_mode & 07777) == 0640);
        CHECK(info.st_mtim.tv_sec == 1'500'000'000);
        CHECK(info.st_mtim.tv_nsec == 7);
      }
      CHECK(test::count_open_fds() == before + 1);  // the directory's own
    }
  }

  TEST_CASE("files that are written back are no different") {
    const test::TempDir directory;
    WriteBack write_back;
    FileFiller filler(&write_back);
    fill(filler, directory, 500);
    filler.finish();
    write_back.finish();
    for (int i = 0; i < 500; ++i) CHECK(directory.read(name_of(i)) == content_of_file(i));
  }

  TEST_CASE("holes are left, at the end too") {
    const test::TempDir directory;
    FileFiller filler(nullptr);
    filler.begin(new_file(directory, 0, 10));
    filler.add(data_of("x", 3));
    filler.begin(new_file(directory, 1, 4));
    filler.finish();
    CHECK(directory.read("f0") == std::string("\0\0\0x\0\0\0\0\0\0", 10));
    CHECK(directory.read("f1") == std::string(4, '\0'));
  }

  TEST_CASE("few files are open at a time, and few buffers kept") {
    const test::TempDir directory;
    const size_t before = test::count_open_fds();
    FileFiller filler(nullptr);
    size_t most = 0;
    Buffers buffers;
    for (int i = 0; i < 1000; ++i) {
      filler.begin(new_file(directory, i, 1));
      filler.add(buffers.note(data_of("x")));
      most = std::max(most, test::count_open_fds());
      CHECK(buffers.kept() <= 48);
    }
    for (int i = 1000; i < 2000; ++i) {
      filler.begin(new_file(directory, i, 0));
      most = std::max(most, test::count_open_fds());
    }
    filler.finish();
    CHECK(most - before <= 3 * 64 + 32);
  }

  TEST_CASE("what is handed over before a wait is done meanwhile") {
    const test::TempDir directory;
    FileFiller filler(nullptr);
    Buffers buffers;
    for (int i = 0; i < 100; ++i) {
      filler.begin(new_file(directory, i, 1));
      filler.add(buffers.note(data_of("x")));
      filler.hand_over();
      if (i % 10 == 0) CHECK(test::eventually([&] { return buffers.kept() < 3; }));
    }
    filler.finish();
    CHECK(buffers.kept() == 0);
  }

  TEST_CASE("the first file that cannot be filled is named, with a thread and without") {
    for (const int count : {5, 64, 65, 1000}) {
      const size_t before = test::count_open_fds();
      CHECK(error_with_bad_files(count, 3) ==
            "entry 'f3' at offset 1536: write: Bad file descriptor");
      CHECK(test::count_open_fds() == before);
    }
    CHECK(error_with_bad_files(1000, 1000) == "no error");
  }

  TEST_CASE("what is abandoned is closed") {
    const size_t before = test::count_open_fds();
    {
      const test::TempDir directory;
      FileFiller filler(nullptr);
      fill(filler, directory, 1000);
    }
    CHECK(test::count_open_fds() == before);
  }
}

}  // namespace
}  // namespace overlayd
