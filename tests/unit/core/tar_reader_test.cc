// SPDX-License-Identifier: Apache-2.0
#include "core/tar_reader.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "core/error.h"
#include "tests/support/tar_builder.h"

namespace overlayd {
namespace {

using test::TarBuilder;
using Header = TarBuilder::Header;
using Format = TarBuilder::Format;

const std::string kUtf8Composed = "caf\xc3\xa9";
const std::string kUtf8Decomposed = "cafe\xcc\x81";
const std::string kLatin1 = "caf\xe9\xff\x80";

struct Member {
  TarEntry entry;
  std::string data;  // holes as NUL bytes
  std::string raw_header;
  uint64_t offset = 0;
};

std::string read_content(TarReader& reader, uint64_t size) {
  std::string content(size, '\0');
  while (const auto run = reader.read_data()) {
    REQUIRE(run->offset + run->bytes.size() <= size);
    std::memcpy(content.data() + run->offset, run->bytes.data(), run->bytes.size());
  }
  return content;
}

std::vector<Member> read_all(const std::string& tar) {
  StringSource source(tar);
  TarReader reader(source);
  std::vector<Member> members;
  while (auto entry = reader.next()) {
    Member member{*entry, read_content(reader, entry->size), reader.raw_header(),
                  reader.header_offset()};
    members.push_back(std::move(member));
  }
  reader.drain();
  return members;
}

TarEntry read_one(const TarBuilder& tar) {
  const auto members = read_all(tar.str());
  REQUIRE(members.size() == 1);
  return members[0].entry;
}

// The message of the BadArchive error that reading `tar` ends in.
std::string refusal(const std::string& tar) {
  try {
    read_all(tar);
  } catch (const Error& error) {
    CHECK(to_string(error.kind()) == "bad-archive");
    return error.what();
  }
  return "(accepted)";
}

class DribblingSource final : public ByteSource {
 public:
  explicit DribblingSource(std::string_view text) : inner_(text) {}
  size_t read(std::span<std::byte> buffer) override {
    return inner_.read(buffer.first(std::min<size_t>(buffer.size(), 7)));
  }

 private:
  StringSource inner_;
};

// Gives `text`, then says that the sender is gone.
class BreakingSource final : public ByteSource {
 public:
  explicit BreakingSource(std::string_view text) : inner_(text) {}
  size_t read(std::span<std::byte> buffer) override {
    if (const size_t count = inner_.read(buffer); count > 0) return count;
    throw Error(ErrorKind::Aborted, "the sender went away");
  }

 private:
  StringSource inner_;
};

TEST_SUITE("tar reader") {
  TEST_CASE("every field of a ustar header arrives") {
    const TarEntry entry = read_one(TarBuilder()
                                        .header({.name = "dev/tty",
                                                 .type = '3',
                                                 .mode = 06751,
                                                 .uid = 1000,
                                                 .gid = 50,
                                                 .mtime = 1234567890,
                                                 .dev_major = 5,
                                                 .dev_minor = 300})
                                        .end());
    CHECK(entry == TarEntry{.name = "dev/tty",
                            .type = TarType::CharDevice,
                            .mode = 06751,
                            .uid = 1000,
                            .gid = 50,
                            .mtime = {1234567890, 0},
                            .dev_major = 5,
                            .dev_minor = 300});
  }

  TEST_CASE("each type flag becomes its type") {
    struct Case {
      char flag;
      const char* name;
      TarType type;
    };
    for (const auto& [flag, name, type] :
         {Case{'0', "f", TarType::Regular}, Case{'\0', "f", TarType::Regular},
          Case{'\0', "d/", TarType::Directory}, Case{'1', "l", TarType::HardLink},
          Case{'2', "l", TarType::Symlink}, Case{'3', "c", TarType::CharDevice},
          Case{'4', "b", TarType::BlockDevice}, Case{'5', "d", TarType::Directory},
          Case{'5', "d/", TarType::Directory}, Case{'6', "p", TarType::Fifo}}) {
      CAPTURE(flag);
      CAPTURE(name);
      const bool link = flag == '1' || flag == '2';
      for (const Format format : {Format::V7, Format::Ustar, Format::Gnu}) {
        const TarEntry entry = read_one(TarBuilder()
                                            .header({.name = name,
                                                     .type = flag,
                                                     .link_name = link ? "target" : "",
                                                     .format = format})
                                            .end());
        CHECK(entry.type == type);
        CHECK(entry.name == name);
        CHECK(entry.link_name == (link ? "target" : ""));
      }
    }
  }

  TEST_CASE("names and link names are bytes in every encoding") {
    const std::string slashes = "a/./b//../c";
    for (const std::string& name :
         {std::string("plain"), std::string("./prefixed"), std::string("/absolute"), slashes,
          std::string("with space\tand\nlines"), kUtf8Composed, kUtf8Decomposed, kLatin1,
          "\xf0\x9f\x90\xb3/" + kLatin1, std::string("._mac")}) {
      CAPTURE(name);
      const std::string target = "to/" + name;
      const std::vector<TarBuilder> forms{
          TarBuilder().header({.name = name, .type = '2', .link_name = target}),
          TarBuilder().header(
              {.name = name, .type = '2', .link_name = target, .format = Format::V7}),
          TarBuilder()
              .pax({{"linkpath", target}, {"path", name}})
              .header({.name = "short", .type = '2', .link_name = "other"}),
          TarBuilder()
              .pax({{"hdrcharset", "BINARY"}, {"linkpath", target}, {"path", name}})
              .header({.name = "short", .type = '2', .link_name = "other"}),
          TarBuilder().long_link(target).long_name(name).header(
              {.name = "short", .type = '2', .link_name = "other", .format = Format::Gnu}),
      };
      for (TarBuilder tar : forms) {
        const TarEntry entry = read_one(tar.end());
        CHECK(entry.name == name);
        CHECK(entry.link_name == target);
      }
      TarBuilder hard;
      hard.long_link(target).header({.name = "h", .type = '1', .format = Format::Gnu}).end();
      CHECK(read_one(hard).link_name == target);
    }
  }

  TEST_CASE("a ustar prefix goes before the name") {
    const std::string prefix(155, 'p'), name(100, 'n');
    CHECK(read_one(TarBuilder().header({.name = name, .prefix = prefix}).end()).name ==
          prefix + "/" + name);
  }

  TEST_CASE("numbers that octal cannot say come as PAX records or in base 256") {
    CHECK(read_one(TarBuilder().pax({{"uid", "4294967294"}, {"gid", "2097152"}}).file("f").end())
              .uid == 4294967294);
    TarBuilder big;
    big.header({.name = "f", .format = Format::Gnu})
        .patch(108, test::base256(4294967294, 8))
        .patch(116, test::base256(2097152, 8))
        .patch(136, test::base256(-5, 12))
        .end();
    const TarEntry entry = read_one(big);
    CHECK(entry.uid == 4294967294);
    CHECK(entry.gid == 2097152);
    CHECK(entry.mtime == TarTime{-5, 0});
  }

  TEST_CASE("modification times keep sign and nanoseconds") {
    struct Case {
      const char* text;
      TarTime time;
    };
    for (const auto& [text, time] :
         {Case{"0", {0, 0}}, Case{"1.5", {1, 500'000'000}}, Case{"1.000000001", {1, 1}},
          Case{"1.0000000019", {1, 1}}, Case{"-1", {-1, 0}}, Case{"-1.75", {-2, 250'000'000}},
          Case{"-0.5", {-1, 500'000'000}}, Case{"-1.0", {-1, 0}}, Case{"7.", {7, 0}},
          Case{"9223372036854775807.999999999", {INT64_MAX, 999'999'999}},
          Case{"-62135596800", {-62135596800, 0}}}) {
      CAPTURE(text);
      CHECK(read_one(TarBuilder().pax({{"mtime", text}}).file("f").end()).mtime == time);
    }
  }

  TEST_CASE("extended attributes are the SCHILY.xattr records, byte for byte") {
    const std::string binary("\0=\n\xff\x01", 5);
    const TarEntry entry =
        read_one(TarBuilder()
                     .pax({{"LIBARCHIVE.xattr.user.a", "AAAA"},
                           {"RHT.security.selinux", "label"},
                           {"SCHILY.acl.access", "user::rwx,group::r-x,other::r-x"},
                           {"SCHILY.fflags", "uarch"},
                           {"SCHILY.xattr.security.capability", binary},
                           {"SCHILY.xattr.user.empty", ""},
                           {"SCHILY.xattr.user." + kUtf8Composed, kLatin1},
                           {"SCHILY.xattr.user.twice", "first"},
                           {"SCHILY.xattr.user.twice", "second"}})
                     .file("f")
                     .end());
    CHECK(entry.xattrs == std::map<std::string, std::string>{{"security.capability", binary},
                                                             {"user.empty", ""},
                                                             {"user." + kUtf8Composed, kLatin1},
                                                             {"user.twice", "second"}});
  }

  TEST_CASE("a first name may look like a compressed stream") {
    for (const std::string magic : {"\x1f\x8b\x08", "BZh91AY", "\x28\xb5\x2f\xfd"}) {
      CAPTURE(magic);
      CHECK(read_one(TarBuilder().file(magic + "-file", "x").end()).name == magic + "-file");
    }
  }

  TEST_CASE("other PAX keys and global headers change nothing") {
    TarBuilder tar;
    tar.pax({{"comment", "0123abc"}, {"uid", "7"}}, 'g')
        .pax({{"VENDOR.key", "value"},
              {"SCHILY.devmajor", "7"},
              {"SCHILY.devminor", "7"},
              {"path", ""}})
        .header({.name = "null", .type = '3', .dev_major = 1, .dev_minor = 3})
        .end();
    const TarEntry entry = read_one(tar);
    CHECK(entry.name == "null");
    CHECK(entry.dev_major == 1);
    CHECK(entry.dev_minor == 3);
    CHECK(read_all(TarBuilder().pax({{"comment", "alone"}}, 'g').end().str()).empty());
    CHECK(read_all(TarBuilder().pax({{"comment", "alone"}}, 'g').str()).empty());
  }

  TEST_CASE("a PAX size replaces the header's") {
    TarBuilder tar;
    tar.pax({{"size", "600"}})
        .header({.name = "big"})
        .raw(std::string(600, 'x'))
        .file("next", "n")
        .end();
    const auto members = read_all(tar.str());
    REQUIRE(members.size() == 2);
    CHECK(members[0].data == std::string(600, 'x'));
    CHECK(members[1].data == "n");
  }

  TEST_CASE("only regular files have data, whatever their size field says") {
    for (const char type : {'1', '2', '3', '4', '5', '6', '\0'}) {
      CAPTURE(type);
      for (const Format format : {Format::V7, Format::Ustar, Format::Gnu}) {
        for (const bool pax : {false, true}) {
          for (const bool last : {false, true}) {
            CAPTURE(pax);
            CAPTURE(last);
            TarBuilder tar;
            if (pax) tar.pax({{"size", "512"}, {"path", kUtf8Composed + "/"}});
            tar.header(
                {.name = "odd/", .type = type, .size = 1024, .link_name = "t", .format = format});
            if (!last) tar.file("next", "data");
            tar.end();
            const auto members = read_all(tar.str());
            REQUIRE(members.size() == (last ? 1 : 2));
            CHECK(members[0].entry.size == 0);
            CHECK(members[0].data.empty());
            CHECK((last || members[1].data == "data"));
          }
        }
      }
    }
  }

  TEST_CASE("sparse files of every kind are whole again") {
    std::vector<TarBuilder::Run> runs;
    std::string whole(20000, '\0');
    for (uint64_t i = 0; i < 30; ++i) {
      runs.push_back({i * 600 + 5, std::string(100 + i, static_cast<char>('a' + i % 26))});
      whole.replace(runs.back().offset, runs.back().data.size(), runs.back().data);
    }
    const std::vector<std::vector<TarBuilder::Run>> maps{
        runs, {runs.begin(), runs.begin() + 3}, {}, {{0, "start"}}};
    for (const auto& map : maps) {
      std::string expected(whole.size(), '\0');
      for (const auto& run : map) expected.replace(run.offset, run.data.size(), run.data);
      CAPTURE(map.size());
      const std::vector<TarBuilder> forms{
          TarBuilder().sparse_gnu({.name = "s"}, whole.size(), map),
          TarBuilder().sparse_0_0({.name = "s"}, whole.size(), map),
          TarBuilder().sparse_0_1({.name = "s"}, whole.size(), map),
          TarBuilder().sparse_1_0({.name = "s"}, whole.size(), map)};
      size_t form = 0;
      for (TarBuilder tar : forms) {
        CAPTURE(form);
        if (map.empty() && form < 3) {  // these cannot say "all hole"
          ++form;
          continue;
        }
        const auto members = read_all(tar.file("next", "n").end().str());
        REQUIRE(members.size() == 2);
        CHECK(members[0].entry.name == "s");
        CHECK(members[0].entry.size == whole.size());
        CHECK(members[0].data == expected);
        CHECK(members[1].data == "n");
        CHECK(tar.str().substr(members[0].offset, members[0].raw_header.size()) ==
              members[0].raw_header);
        ++form;
      }
    }
  }

  TEST_CASE("skipped members leave nothing behind") {
    TarBuilder tar;
    tar.file("a", std::string(5000, 'a'))
        .sparse_1_0({.name = "s"}, 9000, {{0, std::string(700, 's')}, {8000, "t"}})
        .sparse_gnu({.name = "g"}, 9000, {{0, std::string(700, 's')}, {8000, "t"}})
        .file("b", "b")
        .end();
    StringSource source(tar.str());
    TarReader reader(source);
    std::vector<std::string> names;
    while (const auto entry = reader.next()) {
      names.push_back(entry->name);
      if (entry->name == "g") CHECK(reader.read_data()->offset == 0);  // part of it
    }
    CHECK(names == std::vector<std::string>{"a", "s", "g", "b"});
    CHECK_FALSE(reader.next());
    CHECK_FALSE(reader.read_data());
  }

  TEST_CASE("raw headers and data add up to the stream") {
    TarBuilder tar;
    tar.file("plain", std::string(600'000, 'p'))
        .pax({{"comment", "c"}}, 'g')
        .pax({{"path", kUtf8Composed}, {"SCHILY.xattr.user.x", std::string(3000, 'x')}})
        .header({.name = "x", .type = '5'})
        .long_name(std::string(300, 'n'))
        .long_link(std::string(300, 'l'))
        .header({.name = "n", .type = '2', .format = Format::Gnu})
        .header({.name = "h", .type = '1', .size = 512, .link_name = "plain"})
        .file("last", "z")
        .end();
    std::string rebuilt;
    for (const Member& member : read_all(tar.str())) {
      CHECK(member.offset == rebuilt.size());
      rebuilt += member.raw_header + member.data;
      rebuilt.append((512 - rebuilt.size() % 512) % 512, '\0');
    }
    CHECK(rebuilt + std::string(1024, '\0') == tar.str());
  }

  TEST_CASE("a source that gives a few bytes at a time makes no difference") {
    TarBuilder tar;
    tar.pax({{"path", std::string(200, 'n')}})
        .member({}, std::string(3000, 'x'))
        .file("b", "b")
        .end();
    DribblingSource source(tar.str());
    TarReader reader(source);
    CHECK(reader.next()->name == std::string(200, 'n'));
    CHECK(read_content(reader, 3000) == std::string(3000, 'x'));
    CHECK(reader.next()->name == "b");
    CHECK_FALSE(reader.next());
  }

  TEST_CASE("no bytes, closing blocks alone and a missing end are the end") {
    CHECK(read_all("").empty());
    CHECK(read_all(std::string(512, '\0')).empty());
    CHECK(read_all(std::string(1024, '\0')).empty());
    CHECK(read_all(std::string(10240, '\0')).empty());
    CHECK(read_all(TarBuilder().file("f", "x").str()).size() == 1);
    CHECK(read_all(TarBuilder().file("f", "x").zero_blocks(1).str()).size() == 1);
    CHECK(
        read_all(TarBuilder().header({.name = "h", .type = '1', .size = 9, .link_name = "t"}).str())
            .size() == 1);
    CHECK(read_all(TarBuilder().file("f", "x").end().raw("padding").file("g").str()).size() == 1);
  }

  TEST_CASE("draining reads the source to its end") {
    TarBuilder tar;
    tar.file("f").end().raw(std::string(1'000'000, 'p'));
    StringSource source(tar.str());
    TarReader reader(source);
    while (reader.next()) {
    }
    reader.drain();
    std::byte left{};
    CHECK(source.read({&left, 1}) == 0);
  }

  TEST_CASE("damaged and foreign archives are refused by name and offset") {
    struct Case {
      std::string what;
      std::string tar;
      std::string message;
    };
    const auto after_file = [] { return TarBuilder().file("first", "data"); };
    const std::vector<Case> cases{
        {"garbage", std::string(2000, 'g'), "tar stream at offset 0: no tar header here"},
        {"less than a block", "tiny", "tar stream at offset 0: no tar header here"},
        {"bad first checksum", TarBuilder().file("f").break_checksum().end().str(),
         "tar stream at offset 0: no tar header here"},
        {"bad checksum", after_file().file("f").break_checksum().end().str(),
         "tar stream at offset 1024: bad header checksum"},
        {"garbage later", after_file().raw(std::string(512, 'g')).str(),
         "tar stream at offset 1024: bad header checksum"},
        {"gzip", std::string("\x1f\x8b\x08\0\0\0\0\0", 8), "the stream is gzip-compressed"},
        {"bzip2", "BZh91AY&SY", "the stream is bzip2-compressed"},
        {"xz",
         std::string("\xfd"
                     "7zXZ\0\0\4",
                     8),
         "the stream is xz-compressed"},
        {"zstd", "\x28\xb5\x2f\xfd\x20\x01", "the stream is zstd-compressed"},
        {"cut in a header", after_file().file("f").cut(-12).str(),
         "offset 1024: truncated tar archive"},
        {"cut in data", TarBuilder().file("name", std::string(2000, 'x')).cut(1000).str(),
         "tar member 'name' at offset 0: truncated tar archive"},
        {"cut in padding", TarBuilder().file("name", "x").cut(600).str(),
         "tar member 'name' at offset 0: truncated"},
        {"cut in a PAX header",
         after_file().pax({{"path", std::string(2000, 'p')}}).cut(-600).str(),
         "tar stream at offset 1024: truncated headers"},
        {"PAX header alone", after_file().pax({{"path", "p"}}).end().str(),
         "tar stream at offset 1024: damaged tar archive"},
        {"data behind one zero block", after_file().zero_blocks(1).file("f").end().str(),
         "tar stream at offset 1024: data behind a single zero block"},
        {"half a closing block",
         after_file().zero_blocks(1).raw("").cut(1024 + 512 + 0).str() + "x",
         "tar stream at offset 1024: data behind a single zero block"},
        {"half a zero block", after_file().zero_blocks(1).str() + std::string(100, '\0'),
         "tar stream at offset 1024: the stream ends within a block"},
        {"contiguous file", TarBuilder().header({.name = "c", .type = '7'}).end().str(),
         "tar member 'c' at offset 0: unsupported type '7'"},
        {"volume label", TarBuilder().header({.name = "v", .type = 'V'}).file("f").end().str(),
         "unsupported type 'V'"},
        {"Sun extension", TarBuilder().pax({{"path", "p"}}, 'X').file("f").end().str(),
         "unsupported type 'X'"},
        {"incremental directory", TarBuilder().header({.name = "d", .type = 'D'}).end().str(),
         "unsupported type 'D'"},
        {"old GNU rename", TarBuilder().header({.name = "n", .type = 'N'}).end().str(),
         "unsupported type 'N'"},
        {"no name", TarBuilder().header({.name = ""}).end().str(), "its name is empty"},
        {"NUL in a PAX name",
         TarBuilder().pax({{"path", std::string("a\0b", 3)}}).file("f").end().str(),
         "a name has a NUL byte in it"},
        {"NUL in a GNU name", TarBuilder().long_name(std::string("a\0b", 3)).file("f").end().str(),
         "a name has a NUL byte in it"},
        {"name too long",
         TarBuilder().pax({{"path", std::string(5000, 'n')}}).file("f").end().str(),
         "its name is longer than 4096 bytes"},
        {"GNU name too long", TarBuilder().long_name(std::string(5000, 'n')).file("f").end().str(),
         "its name is longer than 4096 bytes"},
        {"link too long",
         TarBuilder()
             .long_link(std::string(5000, 'n'))
             .header({.name = "l", .type = '2'})
             .end()
             .str(),
         "its link target is longer than 4096 bytes"},
        {"link to nothing", TarBuilder().header({.name = "l", .type = '2'}).end().str(),
         "its link target is empty"},
        {"file with a slash", TarBuilder().file("f/", "data").end().str(),
         "a regular file's name ends in '/'"},
        {"empty file with a slash", TarBuilder().file("f/").end().str(),
         "a regular file's name ends in '/'"},
        {"uid no number", after_file().header({.name = "f"}).patch(108, "12x4567").end().str(),
         "its uid is not a number"},
        {"NULs before a number",
         TarBuilder().header({.name = "f"}).patch(124, std::string(4, '\0')).end().str(),
         "its size is not a number"},
        {"minus sign", after_file().header({.name = "f"}).patch(124, "-0000000001").end().str(),
         "negative size"},
        {"negative base-256 size",
         TarBuilder().header({.name = "f"}).patch(124, test::base256(-1, 12)).end().str(),
         "negative size"},
        {"negative base-256 uid",
         TarBuilder().header({.name = "f"}).patch(108, test::base256(-1, 8)).end().str(),
         "its uid is negative"},
        {"PAX uid empty", TarBuilder().pax({{"uid", ""}}).file("f").end().str(),
         "its uid is not a number"},
        {"PAX uid negative", TarBuilder().pax({{"uid", "-1"}}).file("f").end().str(),
         "its uid is negative"},
        {"PAX uid too big",
         TarBuilder().pax({{"uid", "9223372036854775808"}}).file("f").end().str(),
         "its uid is not a number"},
        {"PAX size negative", TarBuilder().pax({{"size", "-1"}}).file("f").end().str(), "size"},
        {"PAX time no number", TarBuilder().pax({{"mtime", "1.x"}}).file("f").end().str(),
         "its modification time is not a number"},
        {"PAX record length wrong",
         TarBuilder().extension('x', "99 path=a\n").file("f").end().str(),
         "a PAX record is malformed"},
        {"PAX record without newline",
         TarBuilder().extension('x', "9 path=ab").file("f").end().str(),
         "a PAX record is malformed"},
        {"PAX record without key", TarBuilder().extension('x', "5 =a\n").file("f").end().str(), ""},
        {"PAX record without equals sign",
         TarBuilder().extension('x', "7 abcd\n").file("f").end().str(),
         "a PAX record is malformed"},
        {"PAX padding counted as records",
         TarBuilder().extension('x', "10 path=a\n" + std::string(10, '\0')).file("f").end().str(),
         "a PAX record is malformed"},
        {"two PAX headers",
         TarBuilder().pax({{"path", "a"}}).pax({{"path", "b"}}).file("f").end().str(),
         "contradicting extension headers"},
        {"PAX and GNU name", TarBuilder().long_name("a").pax({{"path", "b"}}).file("f").end().str(),
         "contradicting extension headers"},
        {"GNU and PAX name", TarBuilder().pax({{"path", "b"}}).long_name("a").file("f").end().str(),
         "contradicting extension headers"},
        {"two GNU names", TarBuilder().long_name("a").long_name("b").file("f").end().str(),
         "contradicting extension headers"},
        {"global header inside a member",
         TarBuilder().pax({{"path", "b"}}).pax({{"path", "a"}}, 'g').file("f").end().str(),
         "contradicting extension headers"},
        {"sparse directory",
         TarBuilder()
             .pax({{"GNU.sparse.map", "0,1"}})
             .header({.name = "d", .type = '5'})
             .end()
             .str(),
         ""},
        {"a key like those of sparse files, at a device",
         TarBuilder()
             .pax({{"GNU.sparse.other", "1"}})
             .header({.name = "c", .type = '3', .dev_major = 1, .dev_minor = 3})
             .end()
             .str(),
         ""},
        {"Solaris sparse",
         TarBuilder().pax({{"SUN.holesdata", " 0 512"}}).file("f", "x").end().str(),
         "its kind of sparse file is unsupported"},
        {"GNU sparse map in a plain file",
         TarBuilder()
             .header({.name = "f", .format = Format::Gnu})
             .patch(386, "00000000000")
             .end()
             .str(),
         "its kind of sparse file is unsupported"},
        {"sparse runs overlap",
         TarBuilder().sparse_1_0({.name = "s"}, 100, {{0, "aaaaa"}, {3, "bbbbb"}}).end().str(),
         "its sparse map does not fit its data"},
        {"sparse runs out of order",
         TarBuilder().sparse_0_1({.name = "s"}, 100, {{50, "aaaaa"}, {3, "bbbbb"}}).end().str(),
         "its sparse map does not fit its data"},
        {"sparse run past the end",
         TarBuilder().sparse_gnu({.name = "s"}, 100, {{98, "aaaaa"}}).end().str(),
         "its sparse map does not fit its data"},
        {"sparse map of no numbers",
         TarBuilder().sparse_gnu({.name = "s"}, 100, {{0, "a"}}).patch(387, "x").end().str(),
         "its sparse map is not a number"},
        {"unknown sparse version",
         TarBuilder()
             .pax({{"GNU.sparse.major", "2"}, {"GNU.sparse.minor", "0"}})
             .file("f", "x")
             .end()
             .str(),
         "its kind of sparse file is unsupported"},
    };
    for (const Case& c : cases) {
      CAPTURE(c.what);
      const std::string message = refusal(c.tar);
      CAPTURE(message);
      CHECK(message != "(accepted)");
      CHECK(message.find(c.message) != std::string::npos);
    }
  }

  TEST_CASE("headers without end are refused before they fill memory") {
    TarBuilder long_headers;
    long_headers.pax({{"comment", std::string(kMaxTarHeader, 'c')}}).file("f").end();
    CHECK(refusal(long_headers.str()).find("its headers are longer than 524288 bytes") !=
          std::string::npos);

    TarBuilder globals;
    for (int i = 0; i < 40; ++i) globals.pax({{"comment", "c"}}, 'g');
    CHECK(refusal(globals.file("f").end().str()) != "(accepted)");
    TarBuilder some;
    for (int i = 0; i < 9; ++i) some.pax({{"comment", "c"}}, 'g');
    CHECK(refusal(some.file("f").end().str()).find("contradicting extension headers") !=
          std::string::npos);

    std::vector<TarBuilder::Run> runs(200'000, {0, ""});
    for (size_t i = 0; i < runs.size(); ++i) runs[i].offset = i;
    CHECK(refusal(TarBuilder().sparse_1_0({.name = "s"}, 1 << 20, runs).end().str())
              .find("longer than") != std::string::npos);
    CHECK(refusal(TarBuilder().sparse_gnu({.name = "s"}, 1 << 20, runs).end().str())
              .find("longer than") != std::string::npos);
  }

  TEST_CASE("an archive cut anywhere is refused or ends at a member") {
    TarBuilder tar;
    tar.pax({{"path", kUtf8Composed}})
        .member({}, std::string(700, 'x'))
        .long_name(std::string(200, 'n'));
    tar.header({.name = "d", .type = '5', .format = Format::Gnu}).file("f", "y").end();
    const std::vector<size_t> boundaries{0, 2560, 4096, 5120, 5632, 6144};
    for (size_t length = 0; length <= tar.str().size(); ++length) {
      CAPTURE(length);
      const bool accepted = refusal(tar.str().substr(0, length)) == "(accepted)";
      CHECK(accepted == (std::ranges::count(boundaries, length) > 0));
    }
  }

  TEST_CASE("what the source throws arrives as it was thrown, and again") {
    TarBuilder tar;
    tar.file("f", std::string(300'000, 'x'));
    for (const size_t length : std::vector<size_t>{0, 512, 300, 100'000, 300'544}) {
      CAPTURE(length);
      const std::string text = tar.str().substr(0, length);
      BreakingSource source(text);
      TarReader reader(source);
      const auto read_on = [&] {
        while (reader.next()) {
          while (reader.read_data()) {
          }
        }
      };
      CHECK_THROWS_WITH_AS(read_on(), "the sender went away", Error);
      CHECK_THROWS_WITH_AS(reader.next(), "the sender went away", Error);
      CHECK_THROWS_WITH_AS(reader.read_data(), "the sender went away", Error);
    }
  }
}

}  // namespace
}  // namespace overlayd
