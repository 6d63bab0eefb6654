// SPDX-License-Identifier: Apache-2.0
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "core/tar_reader.h"
#include "core/tar_writer.h"

namespace overlayd {
namespace {

class Random {
 public:
  uint64_t below(uint64_t bound) { return engine_() % bound; }
  std::string text(size_t size) {  // any bytes a name may have
    std::string out(size, '\0');
    for (char& byte : out) byte = static_cast<char>(1 + below(255));
    return out;
  }

 private:
  std::mt19937_64 engine_{1};  // NOLINT: the same cases every time
};

TarEntry any_entry(Random& random) {
  constexpr TarType kTypes[] = {TarType::Regular,    TarType::HardLink,    TarType::Symlink,
                                TarType::CharDevice, TarType::BlockDevice, TarType::Directory,
                                TarType::Fifo};
  TarEntry entry{
      .name = random.below(2) == 0 ? random.text(1 + random.below(300)) + "n"
                                   : std::string(1 + random.below(300), 'a'),
      .type = kTypes[random.below(7)],
      .mode = static_cast<uint32_t>(random.below(010000)),
      .uid = random.below(uint64_t{1} << random.below(33)),
      .gid = random.below(uint64_t{1} << random.below(33)),
      .mtime = {static_cast<int64_t>(random.below(uint64_t{1} << 40)) - (int64_t{1} << 39),
                static_cast<int32_t>(random.below(2) * random.below(1'000'000'000))}};
  if (entry.type == TarType::Regular) entry.size = random.below(2000);
  if (entry.type == TarType::HardLink || entry.type == TarType::Symlink)
    entry.link_name = random.text(1 + random.below(300));
  if (entry.type == TarType::CharDevice || entry.type == TarType::BlockDevice) {
    entry.dev_major = static_cast<uint32_t>(random.below(2097152));
    entry.dev_minor = static_cast<uint32_t>(random.below(2097152));
  }
  for (uint64_t left = random.below(3); left > 0; --left)
    entry.xattrs["user." + std::to_string(random.below(9))] = random.text(random.below(200)) + '\0';
  return entry;
}

TEST_SUITE("tar round trip") {
  TEST_CASE("what the writer writes the reader reads") {
    Random random;
    std::vector<std::pair<TarEntry, std::string>> members;
    StringSink sink;
    TarWriter writer(sink);
    for (int i = 0; i < 3000; ++i) {
      const TarEntry entry = any_entry(random);
      members.emplace_back(entry, random.text(entry.size));
      writer.begin(entry);
      writer.data(as_bytes(members.back().second));
    }
    writer.finish();

    StringSource source(sink.text());
    TarReader reader(source);
    std::string rebuilt;
    for (const auto& [entry, data] : members) {
      CAPTURE(entry.name);
      const auto read = reader.next();
      REQUIRE(read);
      CHECK(*read == entry);
      CHECK(reader.raw_header() == encode_tar_header(entry));
      std::string content;
      while (const auto run = reader.read_data())
        content.append(reinterpret_cast<const char*>(run->bytes.data()), run->bytes.size());
      CHECK(content == data);
    }
    CHECK_FALSE(reader.next());
  }
}

}  // namespace
}  // namespace overlayd
