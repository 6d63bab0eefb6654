// SPDX-License-Identifier: Apache-2.0
//
// The C++ half of tar-headers.sh: thinks of entries and archives, and says what TarWriter and
// TarReader make of them. main.go does the same with Go's archive/tar.
//
//   tarcheck write SEED LIST HEADERS REFUSED
//   tarcheck read SEED CORPUS SEEN
#include <array>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <random>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/tar_reader.h"
#include "core/tar_writer.h"
#include "tests/support/hex.h"
#include "tests/support/tar_builder.h"

namespace overlayd {
namespace {

using test::hex;
using test::TarBuilder;

constexpr size_t kEntries = 30'000;
constexpr size_t kArchives = 40'000;
constexpr size_t kBlock = 512;

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}

  uint64_t below(uint64_t bound) { return engine_() % bound; }
  bool one_in(uint64_t chances) { return below(chances) == 0; }
  uint64_t bits() { return engine_() >> below(64); }

  template <typename T, size_t N>
  T pick(const T (&choices)[N]) {
    return choices[below(N)];
  }

  std::string bytes(size_t size) {
    std::string out(size, '\0');
    for (char& byte : out) byte = static_cast<char>(engine_());
    return out;
  }

  // Lengths crowd around the borders of the header's fields.
  std::string path() {
    static constexpr size_t kLengths[] = {1,   2,   5,   30,  98,  99,  100, 101, 102, 154, 155,
                                          156, 157, 200, 254, 255, 256, 257, 258, 300, 600};
    const size_t length = pick(kLengths) + below(3);
    const uint64_t slashes = pick<uint64_t>({5, 20, 60, 101, 150, 1'000'000});
    const bool ascii = !one_in(4), odd = one_in(6);
    std::string out;
    while (out.size() < length) {
      if (one_in(slashes)) {
        out += '/';
      } else if (odd && one_in(4)) {
        out += pick<const char*>({"../", "./", "//", "/..", ".", " ", "\n", "=", "\x01"});
      } else if (!ascii && one_in(10)) {
        out += pick<const char*>(
            {"\xc3\xa9", "e\xcc\x81", "\xff", "\xe9", "\xc3", "\xed\xa0\x80", "\xf0\x9f\x90\xb3"});
      } else {
        out += static_cast<char>('a' + below(26));
      }
    }
    return out;
  }

  std::map<std::string, std::string> xattrs() {
    std::map<std::string, std::string> out;
    for (uint64_t left = below(4); left > 0; --left) {
      const std::string name = pick<const char*>(
          {"security.capability", "user.a", "user.\xc3\xa9", "user.\xff", "trusted.x", "Z"});
      const std::string value =
          one_in(3) ? "a=b=c\n12 path=x\n" : bytes(pick<size_t>({1, 2, 20, 75, 76, 77, 950, 5000}));
      out[name + (one_in(4) ? std::to_string(below(9)) : "")] = value;
    }
    if (one_in(200)) out["bad=name"] = "x";
    if (one_in(200)) out[std::string("bad\0name", 8)] = "x";
    return out;
  }

  uint64_t id() {
    return pick<uint64_t>({0, 1, 1000, 65535, 2097151, 2097152, 2097153, 4294967294, 4294967295,
                           1ULL << 40, INT64_MAX, engine_() >> 1, bits() >> 1});
  }

  TarTime time() {
    static constexpr int64_t kSeconds[] = {0,
                                           1,
                                           -1,
                                           -2,
                                           1700000000,
                                           8589934591,
                                           8589934592,
                                           -62135596800,
                                           -62135596801,
                                           INT64_MAX,
                                           INT64_MIN,
                                           INT64_MIN + 1};
    const int64_t seconds = one_in(3) ? static_cast<int64_t>(bits()) : pick(kSeconds);
    const int32_t nanoseconds =
        pick<int32_t>({0, 0, 0, 1, 10, 500'000'000, 999'999'999, 123'456'000});
    return {seconds, nanoseconds};
  }

 private:
  std::mt19937_64 engine_;
};

TarEntry any_entry(Random& random) {
  TarEntry entry;
  entry.type =
      static_cast<TarType>(random.pick({'0', '0', '0', '1', '2', '3', '4', '5', '5', '6'}));
  entry.name = random.path();
  if (entry.type == TarType::Directory && !random.one_in(5)) entry.name += '/';
  if (random.one_in(100)) entry.name.clear();
  if (random.one_in(300)) entry.name += std::string("\0x", 2);
  entry.mode = static_cast<uint32_t>(random.one_in(30) ? random.bits() : random.below(010000));
  if (random.one_in(2)) entry.uid = random.id();
  if (random.one_in(2)) entry.gid = random.id();
  entry.mtime = random.one_in(2) ? TarTime{1700000000, 0} : random.time();
  const bool link = entry.type == TarType::HardLink || entry.type == TarType::Symlink;
  if (link || random.one_in(50)) entry.link_name = random.path();
  if (entry.type == TarType::CharDevice || entry.type == TarType::BlockDevice ||
      random.one_in(50)) {
    entry.dev_major =
        static_cast<uint32_t>(random.pick<uint64_t>({0, 1, 259, 2097151, random.bits()}));
    entry.dev_minor = static_cast<uint32_t>(
        random.pick<uint64_t>({0, 3, 1048575, 2097151, 2097152, random.bits()}));
  }
  if (entry.type == TarType::Regular || random.one_in(50)) {
    entry.size = random.pick<uint64_t>(
        {0, 1, 511, 512, 513, 4096, 8589934591, 8589934592, INT64_MAX, random.bits() >> 1});
  }
  if (random.one_in(4)) entry.xattrs = random.xattrs();
  return entry;
}

std::string list_line(const TarEntry& entry) {
  std::string line(1, static_cast<char>(entry.type));
  const auto add = [&](const std::string& field) { line += " " + field; };
  add(std::to_string(entry.mode));
  add(std::to_string(entry.uid));
  add(std::to_string(entry.gid));
  add(std::to_string(entry.size));
  add(std::to_string(entry.mtime.seconds));
  add(std::to_string(entry.mtime.nanoseconds));
  add(std::to_string(entry.dev_major));
  add(std::to_string(entry.dev_minor));
  add("x" + hex(entry.name));
  add("x" + hex(entry.link_name));
  for (const auto& [name, value] : entry.xattrs) {
    add("x" + hex(name));
    add("x" + hex(value));
  }
  return line + "\n";
}

void write(Random random, const std::string& list, const std::string& headers,
           const std::string& refused) {
  std::ofstream list_out(list, std::ios::binary), headers_out(headers, std::ios::binary),
      refused_out(refused);
  StringSink whole;
  TarWriter archive(whole);
  for (size_t n = 0; n < kEntries; ++n) {
    TarEntry entry = any_entry(random);
    list_out << list_line(entry);
    try {
      headers_out << encode_tar_header(entry);
    } catch (const Error&) {
      refused_out << n << "\n";
      continue;
    }
    if (entry.type != TarType::Regular) entry.size = 0;
    if (entry.size > 4096) continue;
    archive.begin(entry);
    const std::string data(entry.size, static_cast<char>(n));
    archive.data(as_bytes(data));
  }
  archive.finish();
  headers_out << whole.text();
}

// ---------------------------------------------------------------------------------------------------

class Fnv {
 public:
  void add(std::string_view bytes) {
    for (const char byte : bytes)
      hash_ = (hash_ ^ static_cast<unsigned char>(byte)) * 0x100000001b3U;
  }
  std::string str() const {
    std::array<char, 20> text;
    std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(hash_));
    return text.data();
  }

 private:
  uint64_t hash_ = 0xcbf29ce484222325U;
};

std::string describe_content(TarReader& reader, uint64_t size) {
  Fnv hash;
  if (size > 1 << 20) {
    while (reader.read_data()) {
    }
    return hash.str();
  }
  std::string content(size, '\0');
  while (const auto run = reader.read_data())
    content.replace(run->offset, run->bytes.size(),
                    reinterpret_cast<const char*>(run->bytes.data()), run->bytes.size());
  hash.add(content);
  return hash.str();
}

std::string describe(const TarEntry& entry) {
  std::array<char, 160> numbers;
  std::snprintf(numbers.data(), numbers.size(), " %o %llu %llu %llu %lld.%09d ", entry.mode,
                static_cast<unsigned long long>(entry.uid),
                static_cast<unsigned long long>(entry.gid),
                static_cast<unsigned long long>(entry.size),
                static_cast<long long>(entry.mtime.seconds), entry.mtime.nanoseconds);
  return std::string(1, static_cast<char>(entry.type)) + " " + hex(entry.name) + numbers.data() +
         hex(entry.link_name) + " " + std::to_string(entry.dev_major) + "," +
         std::to_string(entry.dev_minor) + " ";
}

std::string see(const std::string& tar) {
  StringSource source(tar);
  TarReader reader(source);
  std::string seen;
  try {
    while (const auto entry = reader.next()) {
      seen += describe(*entry) + describe_content(reader, entry->size);
      for (const auto& [name, value] : entry->xattrs) seen += " " + hex(name) + "=" + hex(value);
      seen += ";";
    }
  } catch (const Error& error) {
    return "error: " + std::string(error.what());
  }
  return seen;
}

TarBuilder::Header any_header(Random& random) {
  TarBuilder::Header header;
  header.name = random.path().substr(0, 100);
  header.type = random.pick({'0', '0', '\0', '1', '2', '3', '5', '6', '7'});
  header.size = random.one_in(10) ? random.pick<uint64_t>({1, 512, 1024}) : 0;
  header.mtime = random.below(2'000'000'000);
  header.uid = random.below(3000);
  header.mode = random.below(010000);
  header.link_name = random.path().substr(0, 100);
  header.dev_major = random.below(300);
  header.dev_minor = random.below(300);
  header.format =
      random.pick({TarBuilder::Format::V7, TarBuilder::Format::Ustar, TarBuilder::Format::Gnu});
  if (header.format == TarBuilder::Format::Ustar && random.one_in(4))
    header.prefix = random.path().substr(0, 155);
  return header;
}

std::vector<TarBuilder::Run> any_runs(Random& random) {
  std::vector<TarBuilder::Run> runs;
  uint64_t at = 0;
  for (uint64_t left = random.below(30); left > 0; --left) {
    at += random.below(700);
    runs.push_back({at, random.bytes(random.below(300))});
    at += runs.back().data.size();
  }
  return runs;
}

void add_member(TarBuilder& tar, Random& random) {
  TarBuilder::Header header = any_header(random);
  switch (random.below(9)) {
    case 0:
      tar.pax({{"path", random.path()},
               {"linkpath", random.path()},
               {"mtime", std::to_string(random.time().seconds) + ".25"}});
      break;
    case 1:
      tar.pax({{"uid", std::to_string(random.id())},
               {"SCHILY.xattr.user.x", random.bytes(20)},
               {"SCHILY.xattr.user.y", "z"}});
      break;
    case 2: tar.pax({{"size", std::to_string(header.size = random.below(2000))}}); break;
    case 3: tar.long_name(random.path()); break;
    case 4: tar.long_link(random.path()); break;
    case 5: tar.pax({{"comment", random.path()}}, 'g'); break;
    case 6: {
      header.type = '0';
      header.prefix.clear();  // sparse maps are there
      const auto runs = any_runs(random);
      const uint64_t end = runs.empty() ? 0 : runs.back().offset + runs.back().data.size();
      const uint64_t size = end + random.below(2) * 1000;
      switch (random.below(4)) {
        case 0: tar.sparse_gnu(header, size, runs); return;
        case 1: tar.sparse_0_0(header, size, runs); return;
        case 2: tar.sparse_0_1(header, size, runs); return;
        default: tar.sparse_1_0(header, size, runs); return;
      }
    }
    default: break;
  }
  if (header.type == '0' || header.type == '\0') {
    tar.member(header, random.bytes(header.size > 0 ? header.size : random.below(1500)));
  } else {
    tar.header(header);
  }
}

void correct_checksum(std::string& tar, size_t block) {
  const std::string header = tar.substr(block, kBlock);
  uint64_t sum = 0;
  for (size_t i = 0; i < header.size(); ++i)
    sum += static_cast<unsigned char>(i >= 148 && i < 156 ? ' ' : header[i]);
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "%06llo", static_cast<unsigned long long>(sum));
  text[7] = ' ';
  if (header.size() == kBlock) tar.replace(block + 148, 8, text.data(), 8);
}

void damage(std::string& tar, Random& random) {
  if (tar.empty()) return;
  const size_t block = random.below(tar.size() / kBlock + 1) * kBlock;
  switch (random.below(8)) {
    case 0: tar.resize(random.below(tar.size())); return;
    case 1: tar.insert(block, kBlock, '\0'); return;
    case 2: tar.erase(block, kBlock); return;
    case 3: tar.insert(block, tar.substr(block, kBlock)); return;
    default: break;
  }
  static constexpr size_t kFields[] = {0,   99,  100, 108, 116, 124, 125, 130, 134,
                                       135, 136, 147, 156, 156, 156, 157, 257, 262,
                                       263, 329, 337, 345, 386, 482, 483};
  const size_t at = block + (random.one_in(2) ? random.pick(kFields) : random.below(kBlock));
  if (at >= tar.size()) return;
  const char odd = random.pick({'\0', ' ', '0', '7', '8', '9', '-', '\n', '=',    '/',
                                'x',  'g', 'L', 'K', 'S', '1', '2', '5',  '\x80', '\xff'});
  tar[at] = random.one_in(3) ? static_cast<char>(random.bits()) : odd;
  if (!random.one_in(10)) correct_checksum(tar, block);
}

std::string any_archive(Random& random) {
  TarBuilder tar;
  for (uint64_t left = random.below(5); left > 0; --left) add_member(tar, random);
  tar.zero_blocks(random.pick<size_t>({0, 1, 2, 2, 2, 3}));
  std::string text = tar.str();
  if (!random.one_in(3)) {
    for (uint64_t left = 1 + random.below(2); left > 0; --left) damage(text, random);
  }
  return text;
}

void read(Random random, const std::string& corpus, const std::string& seen) {
  std::ofstream corpus_out(corpus, std::ios::binary), seen_out(seen);
  for (size_t n = 0; n < kArchives; ++n) {
    const std::string tar = any_archive(random);
    for (unsigned shift = 0; shift < 32; shift += 8)
      corpus_out.put(static_cast<char>(tar.size() >> shift));
    corpus_out << tar;
    seen_out << see(tar) << "\n";
  }
}

int run(const std::vector<std::string>& arguments) {
  if (arguments.size() == 5 && arguments[0] == "write") {
    write(Random(std::stoull(arguments[1])), arguments[2], arguments[3], arguments[4]);
  } else if (arguments.size() == 4 && arguments[0] == "read") {
    read(Random(std::stoull(arguments[1])), arguments[2], arguments[3]);
  } else {
    std::cerr << "tarcheck: bad arguments\n";
    return 2;
  }
  return 0;
}

}  // namespace
}  // namespace overlayd

int main(int argc, char** argv) { return overlayd::run({argv + 1, argv + argc}); }
