// SPDX-License-Identifier: Apache-2.0
//
// Bytes checked by hand; thousands of cases against Go's writer are in
// tests/conformance/tar-headers.sh.
#include "core/tar_writer.h"

#include <fcntl.h>

#include <algorithm>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "core/error.h"
#include "core/sys.h"
#include "tests/support/tar_builder.h"
#include "tests/support/temp_dir.h"

namespace overlayd {
namespace {

std::string bytes(const char* text, size_t size) { return {text, size}; }

std::string padded(std::string text) {
  text.append((512 - text.size() % 512) % 512, '\0');
  return text;
}

// The records in the 'x' header, empty when there is none.
std::string records_of(const TarEntry& entry) {
  const std::string header = encode_tar_header(entry);
  if (header[156] != 'x') return "";
  const std::string body = header.substr(512, header.size() - 1024);
  return body.substr(0, body.find_last_not_of('\0') + 1);
}

class CountingSink final : public ByteSink {
 public:
  void write(std::span<const std::byte> piece) override { sizes.push_back(piece.size()); }
  std::vector<size_t> sizes;
};

TEST_SUITE("tar writer") {
  TEST_CASE("a plain file is one ustar block") {
    const TarEntry entry{.name = "etc/passwd",
                         .mode = 0644,
                         .uid = 1,
                         .gid = 2,
                         .size = 5,
                         .mtime = {1700000000, 0}};
    std::string expected(512, '\0');
    expected.replace(0, 10, "etc/passwd");
    expected.replace(100, 48,
                     bytes("0000644\0"
                           "0000001\0"
                           "0000002\0"
                           "00000000005\0"
                           "14524770400\0",
                           48));
    expected.replace(148, 8, bytes("011244\0 ", 8));
    expected.replace(156, 1, "0");
    expected.replace(257, 8,
                     bytes("ustar\0"
                           "00",
                           8));
    expected.replace(329, 16,
                     bytes("0000000\0"
                           "0000000\0",
                           16));
    CHECK(encode_tar_header(entry) == expected);
  }

  TEST_CASE("data that a file has comes behind its header, padded as any") {
    const test::TempDir dir;
    dir.write("f", "abcde");
    const TarEntry file{.name = "f", .mode = 0644, .size = 3};
    StringSink whole, by_hand;
    for (StringSink* const sink : {&whole, &by_hand}) {
      TarWriter writer(*sink);
      writer.begin(file);
      if (sink == &whole) {
        writer.file({sys::openat(dir.fd(), "f", O_RDONLY), 3, "f"});
      } else {
        writer.data(as_bytes("abc"));
      }
      CHECK(writer.remaining() == 0);
      writer.begin({.name = "g", .mode = 0644});
      writer.finish();
    }
    CHECK(whole.text() == by_hand.text());
  }

  TEST_CASE("an archive is headers, padded data and two zero blocks") {
    StringSink sink;
    TarWriter writer(sink);
    const TarEntry file{.name = "f", .mode = 0644, .size = 3};
    const TarEntry directory{.name = "d/", .type = TarType::Directory, .mode = 0755};
    writer.begin(file);
    writer.data(as_bytes("ab"));
    CHECK(writer.remaining() == 1);
    writer.data(as_bytes("c"));
    CHECK(writer.remaining() == 0);
    writer.begin(directory);
    writer.finish();
    CHECK(sink.text() == encode_tar_header(file) + padded("abc") + encode_tar_header(directory) +
                             std::string(1024, '\0'));
  }

  TEST_CASE("an independent encoder agrees on each type") {
    const std::vector<std::pair<TarEntry, test::TarBuilder::Header>> pairs{
        {{.name = "l", .type = TarType::Symlink, .mode = 0777, .link_name = "../t"},
         {.name = "l", .type = '2', .mode = 0777, .link_name = "../t"}},
        {{.name = "h", .type = TarType::HardLink, .mode = 04755, .link_name = "a"},
         {.name = "h", .type = '1', .mode = 04755, .link_name = "a"}},
        {{.name = "c",
          .type = TarType::CharDevice,
          .mode = 0600,
          .dev_major = 2097151,
          .dev_minor = 9},
         {.name = "c", .type = '3', .mode = 0600, .dev_major = 2097151, .dev_minor = 9}},
        {{.name = "b", .type = TarType::BlockDevice, .mode = 0600, .uid = 2097151, .dev_major = 8},
         {.name = "b", .type = '4', .mode = 0600, .uid = 2097151, .dev_major = 8}},
        {{.name = "p", .type = TarType::Fifo, .mode = 0600, .mtime = {8589934591, 0}},
         {.name = "p", .type = '6', .mode = 0600, .mtime = 8589934591}}};
    for (const auto& [entry, header] : pairs) {
      CAPTURE(entry.name);
      CHECK(encode_tar_header(entry) == test::TarBuilder().header(header).str());
    }
  }

  TEST_CASE("long names are split at a slash where both parts fit") {
    const std::string d155(155, 'd'), n100(100, 'n');
    struct Case {
      std::string name;
      bool splits;
    };
    for (const auto& [name, splits] :
         {Case{std::string(100, 'n'), true}, Case{std::string(101, 'n'), false},
          Case{d155 + "/" + n100, true}, Case{d155 + "d/" + n100, false},
          Case{d155 + "/" + n100 + "n", false}, Case{"/" + std::string(101, 'n'), false},
          Case{std::string(98, 'd') + "/n/", true}, Case{std::string(100, 'd') + "/", false},
          Case{"d/" + std::string(99, 'n') + "/", true}}) {
      CAPTURE(name);
      const TarEntry entry{.name = name, .type = TarType::Directory};
      CHECK(records_of(entry).empty() == splits);
    }
    const std::string header = encode_tar_header({.name = d155 + "/" + n100});
    CHECK(header.substr(0, 100) == n100);
    CHECK(header.substr(345, 155) == d155);
  }

  TEST_CASE("what ustar cannot say is in sorted PAX records") {
    const std::string accents = "caf\xc3\xa9", broken = "\xff\xfe";
    struct Case {
      TarEntry entry;
      std::string records;
    };
    const std::vector<Case> cases{
        {{.name = accents}, "14 path=" + accents + "\n"},
        {{.name = broken}, "11 path=" + broken + "\n"},
        {{.name = std::string(101, 'n')}, "111 path=" + std::string(101, 'n') + "\n"},
        {{.name = "l", .type = TarType::Symlink, .link_name = std::string(101, 't')},
         "115 linkpath=" + std::string(101, 't') + "\n"},
        {{.name = "f", .uid = 2097152, .gid = 4294967295}, "18 gid=4294967295\n15 uid=2097152\n"},
        {{.name = "f", .size = 8589934592}, "19 size=8589934592\n"},
        {{.name = "f", .mtime = {8589934592, 0}}, "20 mtime=8589934592\n"},
        {{.name = "f", .mtime = {-1, 0}}, "12 mtime=-1\n"},
        {{.name = "f", .mtime = {1, 500'000'000}}, "13 mtime=1.5\n"},
        {{.name = "f", .mtime = {-2, 250'000'000}}, "15 mtime=-1.75\n"},
        {{.name = "f", .mtime = {-1, 1}}, "22 mtime=-0.999999999\n"},
        {{.name = "f", .xattrs = {{"user.b", "=\n"}, {"user.a", bytes("\0", 1)}}},
         "25 SCHILY.xattr.user.a=" + bytes("\0", 1) + "\n26 SCHILY.xattr.user.b==\n\n"},
        {{.name = accents, .uid = 2097152, .xattrs = {{"z", "v"}}},
         "20 SCHILY.xattr.z=v\n14 path=" + accents + "\n15 uid=2097152\n"},
    };
    for (const Case& c : cases) {
      CAPTURE(c.records);
      CHECK(records_of(c.entry) == c.records);
    }
  }

  TEST_CASE("a record's length counts its own digits") {
    // "99 path=<90>\n" and "101 path=<91>\n": there is no length of 100.
    CHECK(records_of({.name = "\xff" + std::string(89, 'n')}).substr(0, 3) == "99 ");
    CHECK(records_of({.name = "\xff" + std::string(90, 'n')}).substr(0, 4) == "101 ");
  }

  TEST_CASE("the PAX header is named after the member") {
    struct Case {
      std::string name;
      std::string header_name;
    };
    for (const auto& [name, header_name] :
         {Case{"\xff"
               "f",
               "PaxHeaders.0/f"},
          Case{"a/b\xff", "a/PaxHeaders.0/b"}, Case{"a/b\xff/", "a/b/PaxHeaders.0"},
          Case{"./a/../b\xff", "PaxHeaders.0/b"}, Case{"../b\xff", "../PaxHeaders.0/b"},
          Case{"/../b\xff", "/PaxHeaders.0/b"}, Case{"\xff/..", ""},
          Case{std::string(98, 'd') + "/\xff", std::string(98, 'd') + "/P"},
          Case{std::string(99, 'd') + "/\xff", std::string(99, 'd')}}) {
      CAPTURE(name);
      const std::string header = encode_tar_header({.name = name, .type = TarType::Directory});
      CHECK(header[156] == 'x');
      std::string field = header_name;
      field.resize(100, '\0');
      CHECK(header.substr(0, 100) == field);
      CHECK(header.substr(100, 24) == bytes("0000000\0"
                                            "0000000\0"
                                            "0000000\0",
                                            24));
    }
  }

  TEST_CASE("the block behind a PAX header holds what ASCII and octal can") {
    const TarEntry entry{.name = "caf\xc3\xa9",
                         .mode = 0600,
                         .uid = 2097152,
                         .size = 8589934592,
                         .mtime = {-5, 1},
                         .link_name = "\xe9t"};
    const std::string header = encode_tar_header(entry);
    const std::string block = header.substr(header.size() - 512);
    CHECK(block ==
          test::TarBuilder().header({.name = "caf", .mode = 0600, .link_name = "t"}).str());
    // A cut name must not end like a directory's.
    const std::string cut =
        encode_tar_header({.name = std::string(98, 'd') + "//" + std::string(101, 'n')});
    CHECK(cut.substr(cut.size() - 512, 100) == std::string(98, 'd') + bytes("\0/", 2));
  }

  TEST_CASE("what no PAX tar can carry is refused by name") {
    const std::vector<TarEntry> entries{
        {.name = bytes("a\0b", 3)},
        {.name = "f/"},
        {.name = "f", .mode = 010000000},
        {.name = "f", .uid = uint64_t{1} << 63},
        {.name = "f", .gid = uint64_t{1} << 63},
        {.name = "f", .size = uint64_t{1} << 63},
        {.name = "f", .mtime = {0, 1'000'000'000}},
        {.name = "f", .mtime = {0, -1}},
        {.name = "l", .type = TarType::Symlink, .link_name = bytes("a\0b", 3)},
        {.name = "c/", .type = TarType::CharDevice},
        {.name = "c", .type = TarType::CharDevice, .dev_major = 2097152},
        {.name = "c", .type = TarType::CharDevice, .dev_minor = 2097152},
        {.name = "f", .xattrs = {{"a=b", "v"}}},
        {.name = "f", .xattrs = {{bytes("a\0b", 3), "v"}}},
        {.name = "f", .xattrs = {{"big", std::string(1 << 20, 'v')}}},
    };
    for (const TarEntry& entry : entries) {
      CAPTURE(entry.name);
      try {
        encode_tar_header(entry);
        FAIL_CHECK("accepted");
      } catch (const Error& error) {
        CHECK(error.kind() == ErrorKind::InvalidArgument);
        CHECK(std::string(error.what()).starts_with("tar member " + quoted(entry.name)));
      }
    }
  }

  TEST_CASE("a refused member leaves the archive as it was") {
    StringSink sink;
    TarWriter writer(sink);
    const TarEntry good{.name = "good"};
    CHECK_THROWS_AS(writer.begin({.name = bytes("\0", 1)}), Error);
    writer.begin(good);
    writer.finish();
    CHECK(sink.text() == encode_tar_header(good) + std::string(1024, '\0'));
  }

  TEST_CASE("the sink gets blocks, not crumbs") {
    CountingSink sink;
    TarWriter writer(sink);
    for (int i = 0; i < 1000; ++i) writer.begin({.name = "f"});
    const std::string data(300'000, 'x');
    writer.begin({.name = "big", .size = data.size()});
    writer.data(as_bytes(data));
    writer.finish();
    CHECK(sink.sizes.size() <= 11);
    CHECK(std::ranges::count(sink.sizes, data.size()) == 1);
  }
}

}  // namespace
}  // namespace overlayd
