// SPDX-License-Identifier: Apache-2.0
//
// Input: a tar stream.
// Promises: only Error(BadArchive) comes out; what is read does not depend on how the bytes arrive,
// on whether data is read or skipped, nor on where in a longer stream the members are; headers and
// data are found in the stream at the places that the reader tells.
#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/tar_reader.h"
#include "tests/fuzz/finding.h"
#include "tests/fuzz/tar_mutator.h"

namespace {

using namespace overlayd;
using namespace overlayd::fuzz;

constexpr size_t kBlock = 512;
// Of what the reader takes from its source at once; errors at such seams show only there.
constexpr size_t kPiece = 256 * 1024;

// A source that gives at most `most` bytes a call.
class SlowSource final : public ByteSource {
 public:
  SlowSource(std::string_view text, size_t most) : rest_(text), most_(most) {}
  size_t read(std::span<std::byte> buffer) override {
    const size_t count = std::min({buffer.size(), rest_.size(), most_});
    if (count > 0) std::memcpy(buffer.data(), rest_.data(), count);
    rest_.remove_prefix(count);
    return count;
  }

 private:
  std::string_view rest_;
  size_t most_;
};

struct Run {
  uint64_t offset;
  std::string bytes;
  bool operator==(const Run&) const = default;
};

struct Member {
  TarEntry entry;
  uint64_t header_offset;
  std::string raw_header;
  std::vector<Run> runs;
  bool operator==(const Member&) const = default;
};

struct Outcome {
  std::vector<Member> members;
  bool failed = false;
  std::string failure = {};  // not compared: it tells offsets
  bool operator==(const Outcome& other) const {
    return members == other.members && failed == other.failed;
  }
};

void check_same(const Outcome& a, const Outcome& b, const std::string& promise) {
  if (a == b) return;
  const auto tell = [](const Outcome& outcome) {
    std::string text;
    for (const Member& member : outcome.members) {
      text += quoted(member.entry.name) + " at " + std::to_string(member.header_offset) + " with " +
              std::to_string(member.raw_header.size()) + " header bytes, ";
    }
    return text + (outcome.failed ? "then " + outcome.failure : "and the end");
  };
  finding(promise + "; but once " + tell(a) + ", and once " + tell(b));
}

// Runs in a row become one: how the data is cut depends on how it arrives.
void add_run(std::vector<Run>& runs, const TarReader::Data& data) {
  const std::string bytes(reinterpret_cast<const char*>(data.bytes.data()), data.bytes.size());
  if (bytes.empty()) return;
  if (runs.empty() || runs.back().offset + runs.back().bytes.size() != data.offset)
    runs.push_back({data.offset, {}});
  runs.back().bytes += bytes;
}

Outcome read(std::string_view stream, size_t most, bool want_data) {
  Outcome outcome;
  SlowSource source(stream, most);
  TarReader reader(source);
  try {
    while (auto entry = reader.next()) {
      outcome.members.push_back({*entry, reader.header_offset(), reader.raw_header(), {}});
      while (const auto data = want_data ? reader.read_data() : std::nullopt)
        add_run(outcome.members.back().runs, *data);
    }
    reader.drain();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::BadArchive) finding(describe(error));
    outcome.failed = true;
    outcome.failure = error.what();
  }
  return outcome;
}

// Follows the members through the stream: headers, data, padding, next headers.
void check_places(std::string_view stream, const Outcome& outcome) {
  uint64_t place = 0;
  for (const Member& member : outcome.members) {
    check(member.header_offset == place, "a member begins where the last one ends");
    const std::string& raw = member.raw_header;
    check(!raw.empty() && raw.size() % kBlock == 0, "headers are whole blocks");
    check(stream.substr(place, raw.size()) == raw, "headers are as in the stream");
    place += raw.size();
    std::string stored;
    for (const Run& run : member.runs) {
      check(run.offset <= member.entry.size && run.bytes.size() <= member.entry.size - run.offset,
            "data lies in the file");
      stored += run.bytes;
    }
    check(stream.substr(place, stored.size()) == stored, "data is as in the stream");
    place += (stored.size() + kBlock - 1) / kBlock * kBlock;
  }
}

void check_entries(const Outcome& outcome) {
  for (const auto& [entry, offset, raw, runs] : outcome.members) {
    check(!entry.name.empty() && entry.name.size() <= kMaxTarName, "names are in bounds");
    check(entry.name.find('\0') == std::string::npos, "names have no NUL");
    check(entry.link_name.find('\0') == std::string::npos, "link names have no NUL");
    check(raw.size() <= kMaxTarHeader, "headers are in bounds");
    check(entry.mode <= 07777, "a mode is twelve bits");
    check(entry.mtime.nanoseconds >= 0 && entry.mtime.nanoseconds < 1'000'000'000, "a time is one");
    check(entry.type == TarType::Regular || (entry.size == 0 && runs.empty()),
          "only regular files have data");
    const bool is_link = entry.type == TarType::HardLink || entry.type == TarType::Symlink;
    check(is_link != entry.link_name.empty(), "links, and only links, have targets");
  }
}

// A failure may come later, or not at all, when the data is not looked at; nothing else differs.
void check_skipping(Outcome with_data, const Outcome& skipped) {
  for (Member& member : with_data.members) member.runs.clear();
  const size_t common = std::min(with_data.members.size(), skipped.members.size());
  check(std::equal(with_data.members.begin(), with_data.members.end(), skipped.members.begin(),
                   skipped.members.begin() + static_cast<ptrdiff_t>(common)),
        "members are the same when data is skipped");
  if (!with_data.failed) check_same(with_data, skipped, "skipping data ends as reading it does");
}

std::string filler_member(size_t size) {
  HeaderBlock header;
  header.set_name("filler");
  header.set_size(size - kBlock);
  return header.sealed() + std::string(size - kBlock, 'x');
}

// What is read behind another member of `size` bytes, headers and all.
Outcome read_behind(size_t size, std::string_view stream) {
  Outcome outcome = read(filler_member(size) + std::string(stream), kPiece, true);
  check(!outcome.members.empty(), "the filler is read");
  outcome.members.erase(outcome.members.begin());
  for (Member& member : outcome.members) member.header_offset -= size;
  return outcome;
}

// The reader is pickier about the first block of a stream, and in nothing else.
Outcome check_behind_another(std::string_view stream, const Outcome& first) {
  Outcome second = read_behind(kBlock, stream);
  const bool picky = first.members.empty() && first.failure.ends_with("no tar header here");
  if (!picky) check_same(first, second, "members are the same behind another");
  return second;
}

bool looks_compressed(std::string_view stream) {
  return stream.starts_with("\x1f\x8b\x08") || stream.starts_with("BZh") ||
         stream.starts_with(
             "\xfd"
             "7zXZ") ||
         stream.starts_with("\x28\xb5\x2f\xfd");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view stream = as_text(data, size);
  const Outcome outcome = read(stream, kPiece, true);
  check_places(stream, outcome);
  check_entries(outcome);
  check_skipping(outcome, read(stream, kPiece, false));
  for (const size_t most : {size_t{1}, kBlock - 1, kBlock + 1})
    check_same(outcome, read(stream, most, true), "members are the same however the bytes arrive");
  const size_t blocks = size / kBlock;
  if (blocks < 2 || looks_compressed(stream)) return 0;
  const Outcome second = check_behind_another(stream, outcome);
  // One place of the seam for some of the inputs, for they are slow.
  const size_t hash = std::hash<std::string_view>()(stream);
  if (hash % 4 == 0) {
    const size_t seam = (1 + hash / 4 % (blocks - 1)) * kBlock;
    check_same(second, read_behind(kPiece - seam, stream), "members are the same across a seam");
  }
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  return mutate_tar(data, size, max_size, seed);
}
