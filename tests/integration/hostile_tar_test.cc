// SPDX-License-Identifier: Apache-2.0
//
// The collection in tests/data/tar, file by file through the store, and tars too large to be kept
// in files.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>

#include <doctest/doctest.h>

#include "core/layout.h"
#include "core/mount.h"
#include "core/scope_exit.h"
#include "core/sys.h"
#include "tests/integration/overlay_fixture.h"
#include "tests/integration/store_fixture.h"
#include "tests/support/tar_builder.h"
#include "tests/support/tree_dump.h"

namespace overlayd::test {
namespace {

const std::filesystem::path kCollection = OVERLAYD_SOURCE_DIR "/tests/data/tar";
constexpr std::string_view kOneWay = ", one way";
constexpr char kTable[] = "expected.txt";
constexpr size_t kMaxShownTree = 4000;

/// A file's lines in the table.
struct Expectation {
  std::string outcome = {};  ///< "ok, N bytes", or a fragment of the error
  bool one_way = false;      ///< its diff does not make the same layer again
  std::string tree = {};     ///< what tree_text says, or the hash of that
};
using Table = std::map<std::string, Expectation>;

Table read_table() {
  std::ifstream in(kCollection / kTable);
  REQUIRE(in);
  Table table;
  Expectation* last = nullptr;
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line.starts_with('#')) continue;
    if (line.starts_with("  ")) {
      REQUIRE(last != nullptr);
      last->tree += line.substr(2) + "\n";
      continue;
    }
    const size_t colon = line.find(": ");
    REQUIRE(colon != std::string::npos);
    last = &table[line.substr(0, colon)];
    CHECK_MESSAGE(last->outcome.empty(), "twice in the table: " << line);
    last->outcome = line.substr(colon + 2);
    last->one_way = last->outcome.ends_with(kOneWay);
    if (last->one_way) last->outcome.resize(last->outcome.size() - kOneWay.size());
  }
  return table;
}

std::vector<std::string> collected_files() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kCollection)) {
    if (entry.path().extension() == ".tar") names.push_back(entry.path().filename());
  }
  std::ranges::sort(names);
  return names;
}

std::string read_collected(const std::string& name) {
  std::ifstream in(kCollection / name, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  REQUIRE(in);
  return text.str();
}

std::string hex(char byte) {
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "\\x%02x", static_cast<unsigned char>(byte));
  return text.data();
}

// One line a file, and one for a tree that is too large to be looked at.
std::string printable(const std::vector<std::string>& dump) {
  std::string text;
  for (const std::string& line : dump) {
    for (const char byte : line)
      text += byte >= ' ' && byte < 0x7f ? std::string(1, byte) : hex(byte);
    text += "\n";
  }
  if (text.size() <= kMaxShownTree) return text;
  uint64_t hash = 0xcbf29ce484222325U;
  for (const char byte : text) hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3U;
  std::array<char, 64> line{};
  std::snprintf(line.data(), line.size(), "%zu lines #%016llx\n", dump.size(),
                static_cast<unsigned long long>(hash));
  return line.data();
}

std::string without(std::string text, const std::string& part) {
  const size_t at = text.find(part);
  return at == std::string::npos ? text : text.erase(at, part.size());
}

/// A store with the layer "base", and canaries where tars would like to get to: beside the home,
/// and at an absolute path.
class HostileSandbox : public StoreSandbox {
 public:
  HostileSandbox() {
    mount_classic("canary", "/mnt", "tmpfs", 0, "mode=0755");
    for (const std::string& place : {path(), std::string("/mnt")}) {
      const UniqueFd parent = sys::open_path_dir(AT_FDCWD, place);
      make_dirs(parent.get(), "canary/dir");
      put_file(parent.get(), "canary/file", "alive");
      put_file(parent.get(), "canary/dir/file", "alive too");
    }
    open();
    create("base");
    apply("base", TarBuilder().file("below/file", "1").file("below/dir/file", "2").end().str());
    create("layer", "base");  // marks the base for good
    remove("layer");
    CHECK(trash_empties());
    untouched_ = surroundings();
    empty_home_ = tree_text(home().get());
  }

  ~HostileSandbox() {
    remove("base");
    CHECK(trash_empties());
    close();
    unmount_lazily(AT_FDCWD, "/mnt");
  }

  /// What applying `source` to a fresh layer on "base" ends in, as the table has it. Afterwards
  /// the layer is gone and all else as before.
  Expectation look_at(ByteSource& source, bool one_way = false) {
    create("layer", "base");
    int64_t size = 0;
    const LayerId base = id_of("base");
    const std::string error =
        error_of([&] { size = store->apply_diff(id_of("layer"), &base, source); });
    check_untouched();
    Expectation seen{.outcome = without(error, "apply layer 'layer': ")};
    if (error.empty()) {
      seen.outcome = "ok, " + std::to_string(size) + " bytes";
      seen.tree = content_of_layer();
      if (!one_way) check_round_trip(seen);
    } else {
      check_takes_only_remove();
    }
    check_leaves_nothing();
    return seen;
  }

  Expectation look_at(const std::string& tar, bool one_way = false) {
    StringSource source(tar);
    return look_at(source, one_way);
  }

  std::string content_of_layer() const {
    return printable(tree_dump(sys::open_path_dir(home().get(), "layer/diff").get()));
  }

  void check_untouched() const { CHECK(surroundings() == untouched_); }

  void check_takes_only_remove() {
    CHECK(exists("layer"));
    const LayerId base = id_of("base");
    StringSource nothing("");
    const std::vector<std::function<void()>> others = {
        [&] { get("layer"); },
        [&] { diff("layer", "base"); },
        [&] { changes("layer", "base"); },
        [&] { diff_size("layer", "base"); },
        [&] { create("child", "layer"); },
        [&] { store->apply_diff(id_of("layer"), &base, nothing); },
    };
    for (size_t i = 0; i < others.size(); ++i) {
      CAPTURE(i);
      CHECK(error_of(others[i]) != "");
    }
    check_untouched();
  }

  void check_leaves_nothing() {
    remove("layer");
    CHECK(trash_empties());
    CHECK(tree_text(home().get()) == empty_home_);
    check_untouched();
  }

 private:
  // All that is in the sandbox but the store, and the absolute canary.
  std::string surroundings() const {
    const TreeDumpOptions with_times{.mtimes = true};
    const UniqueFd beside = sys::open_path_dir(fd(), "canary");
    const UniqueFd absolute = sys::open_path_dir(AT_FDCWD, "/mnt");
    std::string text = tree_text(beside.get(), with_times) + tree_text(absolute.get(), with_times);
    for (const sys::DirEntry& entry : sys::list_directory(fd())) text += entry.name + "\n";
    return text;
  }

  // What leaves as a tar comes back as the same layer.
  void check_round_trip(const Expectation& seen) {
    const std::string tar = diff("layer", "base");
    remove("layer");
    create("layer", "base");
    int64_t size = 0;
    CHECK(error_of([&] { size = apply("layer", tar, "base"); }) == "");
    CHECK("ok, " + std::to_string(size) + " bytes" == seen.outcome);
    CHECK(content_of_layer() == seen.tree);
  }

  std::string untouched_;
  std::string empty_home_;
};

// ---------------------------------------------------------------------------------------------------
// Tars too large for files

/// Members that `next_part` makes one after the other, until it returns an empty text.
class GeneratedSource final : public ByteSource {
 public:
  explicit GeneratedSource(std::function<std::string()> next_part)
      : next_part_(std::move(next_part)) {}

  size_t read(std::span<std::byte> buffer) override {
    if (part_.size() == given_) {
      part_ = next_part_();
      given_ = 0;
    }
    const size_t count = std::min(buffer.size(), part_.size() - given_);
    std::copy_n(as_bytes(part_).begin() + static_cast<ptrdiff_t>(given_), count, buffer.begin());
    given_ += count;
    return count;
  }

 private:
  std::function<std::string()> next_part_;
  std::string part_;
  size_t given_ = 0;
};

/// The peak of the memory that this process had resident, from its making on.
class PeakMemory {
 public:
  PeakMemory() {
    std::ofstream("/proc/self/clear_refs") << "5";  // the peak is now
    start_ = kilobytes();
  }
  size_t growth() const { return (kilobytes() - start_) / 1024; }  // MiB

  // Address sanitizer keeps freed memory for a while.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  static constexpr size_t kAllowed = 600;
#else
  static constexpr size_t kAllowed = 32;
#endif

 private:
  static size_t kilobytes() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("VmHWM:")) return std::stoul(line.substr(6));
    }
    FAIL("no VmHWM in /proc/self/status");
    return 0;
  }

  size_t start_ = 0;
};

/// The number that the next descriptor gets; grows when descriptors are kept. Needs no /proc, which
/// is out of reach for the thread that extracts.
size_t next_descriptor() {
  const UniqueFd copy(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0));
  return static_cast<size_t>(copy.get());
}

void check_memory_is_bounded(const std::function<void()>& work) {
  const PeakMemory peak;
  work();
  CHECK(peak.growth() < PeakMemory::kAllowed);
}

TEST_SUITE("hostile tars") {
  TEST_CASE("the collection and its table name the same files") {
    const Table table = read_table();
    const auto files = collected_files();
    CHECK(files.size() > 200);
    for (const std::string& file : files) {
      CHECK_MESSAGE(table.contains(file), "not in the table: " << file);
    }
    for (const auto& [file, expected] : table) {
      CAPTURE(file);
      CHECK_MESSAGE(std::ranges::count(files, file) == 1, "not in the collection");
      CHECK(file.starts_with("accept-") == expected.outcome.starts_with("ok, "));
      CHECK(file.starts_with("reject-") ==
            (expected.outcome.find("at offset ") != std::string::npos));
    }
  }

  TEST_CASE_FIXTURE(HostileSandbox,
                    "every hostile tar is refused by name and offset, and leaves nothing") {
    for (const auto& [file, expected] : read_table()) {
      if (!file.starts_with("reject-")) continue;
      CAPTURE(file);
      const Expectation seen = look_at(read_collected(file));
      CHECK_MESSAGE(seen.outcome.find(expected.outcome) != std::string::npos,
                    file << ": " << seen.outcome);
    }
  }

  TEST_CASE_FIXTURE(HostileSandbox, "every odd tar becomes exactly what the table says") {
    for (const auto& [file, expected] : read_table()) {
      if (!file.starts_with("accept-")) continue;
      CAPTURE(file);
      const Expectation seen = look_at(read_collected(file), expected.one_way);
      CHECK_MESSAGE(seen.outcome == expected.outcome, file << ": " << seen.outcome);
      CHECK_MESSAGE(seen.tree == expected.tree, file << ":\n" << seen.tree);
    }
  }

  TEST_CASE_FIXTURE(HostileSandbox,
                    "a layer deeper than the stack is an error to look through, and is removed") {
    create("layer", "base");
    {
      UniqueFd at = sys::open_path_dir(home().get(), "layer/diff");  // as a container can
      for (int depth = 0; depth < 50'000; ++depth) {
        sys::mkdirat(at.get(), "d", 0755);
        at = sys::open_path_dir(at.get(), "d");
      }
    }
    CHECK(error_of([&] { diff("layer", "base"); }).find("more than a layer tar can name") !=
          std::string::npos);
    CHECK(error_of([&] { changes("layer", "base"); }).find("more than a layer tar can name") !=
          std::string::npos);
    CHECK(error_of([&] { diff_size("layer", "base"); }).find("nested deeper") != std::string::npos);
    check_leaves_nothing();
  }

  TEST_CASE_FIXTURE(HostileSandbox, "200000 files need no more memory than a few") {
    constexpr size_t kFiles = 200'000;
    size_t made = 0;
    GeneratedSource source([&] {
      if (made == kFiles) return std::string();
      const std::string name =
          "d" + std::to_string(made / 1000) + "/f" + std::to_string(made % 1000);
      const std::string member = TarBuilder().file(name).str();
      ++made;
      return member;
    });
    create("layer", "base");
    check_memory_is_bounded([&] {
      const LayerId base = id_of("base");
      CHECK(store->apply_diff(id_of("layer"), &base, source) == 0);
    });
    CHECK(sys::list_directory(sys::open_path_dir(home().get(), "layer/diff/d199").get()).size() ==
          1000);
    check_leaves_nothing();
  }

  TEST_CASE_FIXTURE(HostileSandbox,
                    "a stream without end goes on until the sender stops, at the same memory and "
                    "descriptors") {
    constexpr size_t kMembers = 300'000;
    size_t made = 0;
    size_t most_descriptors = 0;
    GeneratedSource source([&] {
      if (made == kMembers) throw Error(ErrorKind::Aborted, "the sender went away");
      if (made % 10'000 == 0) most_descriptors = std::max(most_descriptors, next_descriptor());
      const std::string number = std::to_string(made++ % 7);
      TarBuilder tar;
      switch (made % 4) {
        case 0: tar.file("d" + number + "/f"); break;
        case 1: tar.header({.name = "d" + number + "/s", .type = '2', .link_name = "f"}); break;
        case 2: tar.pax({{"path", "d" + number + "/p"}}).header({.type = '5'}); break;
        default: tar.file("d" + number + "/.wh.gone");
      }
      return tar.str();
    });
    const size_t descriptors = next_descriptor();
    check_memory_is_bounded(
        [&] { CHECK(look_at(source).outcome.find("the sender went away") != std::string::npos); });
    CHECK(made == kMembers);
    CHECK(most_descriptors < descriptors + 240);
  }

  TEST_CASE_FIXTURE(HostileSandbox, "headers without end are refused at the same memory") {
    const std::string megabyte(1 << 20, 'c');
    const auto endless = [&](char type, const std::string& claim) {
      bool begun = false;
      return GeneratedSource([&, type, claim, begun]() mutable {
        if (std::exchange(begun, true)) return megabyte;
        return TarBuilder().header({.name = "x", .type = type}).patch(124, claim).str();
      });
    };
    for (const char type : {'x', 'g', 'L', 'K'}) {
      for (const char* claim : {"00002000000", "00004000000", "07777777777", "77777777777"}) {
        CAPTURE(type);
        CAPTURE(claim);
        GeneratedSource source = endless(type, claim);
        check_memory_is_bounded(
            [&] { CHECK(look_at(source).outcome.starts_with("bad-archive ")); });
      }
    }
  }

  TEST_CASE_FIXTURE(HostileSandbox, "header bombs of whole and well-formed records are refused") {
    TarBuilder one_record, many_records, many_headers, many_runs;
    one_record.pax({{"comment", std::string(1 << 20, 'c')}}).file("f").end();
    TarBuilder::Records records;
    for (int n = 0; n < 60'000; ++n) records.push_back({"VENDOR.key" + std::to_string(n), "v"});
    many_records.pax(records).file("f").end();
    for (int n = 0; n < 60'000; ++n) many_headers.pax({{"comment", "c"}}, 'g');
    std::vector<TarBuilder::Run> runs(500'000, {0, ""});
    for (size_t n = 0; n < runs.size(); ++n) runs[n].offset = n;
    many_runs.sparse_1_0({.name = "s"}, 1 << 20, runs).end();
    for (const TarBuilder& tar : {one_record, many_records, many_headers, many_runs}) {
      CAPTURE(tar.str().size());
      check_memory_is_bounded([&] {
        const std::string outcome = look_at(tar.str()).outcome;
        CHECK(outcome.starts_with("bad-archive "));
        CHECK(outcome.find("at offset 0") != std::string::npos);
      });
    }
  }
}

}  // namespace
}  // namespace overlayd::test
