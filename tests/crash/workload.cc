// SPDX-License-Identifier: Apache-2.0
#include "tests/crash/workload.h"

#include <random>

#include "tests/support/tar_builder.h"

namespace overlayd::test {
namespace {

constexpr size_t kMaxCalls = 3;

std::string numbered(const char* name, size_t number) { return name + std::to_string(number); }

size_t below(size_t limit, std::mt19937_64& random) { return random() % limit; }

std::string noise(size_t length, std::mt19937_64& random) {
  std::string bytes(length, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

/// Regular files of all sizes that are stored differently: none, in the inode, a block, several
/// with a tail, many.
void add_files(TarBuilder& tar, std::mt19937_64& random) {
  static constexpr size_t kSizes[] = {0, 10, 100, 4096, 5000, 20000, 70000, 300000};
  const size_t count = 4 + below(24, random);
  for (size_t i = 0; i < count; ++i) {
    const size_t limit = kSizes[below(std::size(kSizes), random)];
    tar.member({.name = "usr/" + numbered("file", i),
                .mode = i % 5 == 0 ? 04755U : 0640U,
                .uid = i,
                .gid = 2 * i,
                .mtime = 981173106 + i},
               noise(limit == 0 ? 0 : limit - below(2, random), random));
  }
}

void add_others(TarBuilder& tar, std::mt19937_64& random) {
  tar.header({.name = "usr/short", .type = '2', .link_name = "file0"});
  tar.header({.name = "usr/long", .type = '2', .link_name = std::string(90, 'l')});
  tar.header({.name = "usr/hard", .type = '1', .link_name = "usr/file1"});
  tar.header({.name = "fifo", .type = '6', .mtime = 7});
  tar.header({.name = "null", .type = '3', .dev_major = 1, .dev_minor = 3});
  tar.pax({{"SCHILY.xattr.user.small", "value"}, {"SCHILY.xattr.user.large", noise(2000, random)}});
  tar.member({.name = "usr/with-xattrs", .mtime = 99}, noise(900, random));
  // Sometimes the same name again, and what hides files of the layer below.
  if (below(2, random) == 0) {
    tar.member({.name = "usr/file0", .mode = 0600, .mtime = 5}, noise(9000, random));
  }
  tar.file("etc/.wh.gone");
  tar.header({.name = "var/", .type = '5', .mode = 0755});
  tar.file("var/.wh..wh..opq");
  std::string path = "deep/";
  for (int i = 0; i < 12; ++i) {
    tar.header({.name = path, .type = '5', .mode = 01700, .mtime = 11});
    path += "er/";
  }
}

std::string make_tar(std::mt19937_64& random) {
  TarBuilder tar;
  tar.header({.name = "usr/", .type = '5', .mode = 0751, .uid = 3, .gid = 4, .mtime = 12345});
  add_files(tar, random);
  add_others(tar, random);
  return tar.end().str();
}

std::string base_tar() {
  TarBuilder tar;
  tar.header({.name = "etc/", .type = '5', .mode = 0755}).file("etc/gone", "to be hidden");
  tar.file("etc/stays", std::string(6000, 's'));
  tar.header({.name = "var/", .type = '5', .mode = 0755}).file("var/hidden", "too");
  return tar.end().str();
}

/// The word of number n: first all of one letter, then of two, then of three.
std::vector<Call::Kind> word(uint64_t number) {
  constexpr uint64_t kLetters = 4;
  size_t length = 1;
  for (uint64_t words = kLetters; number >= words; words *= kLetters) {
    number -= words;
    ++length;
  }
  std::vector<Call::Kind> letters;
  for (; length > 0; --length, number /= kLetters) {
    letters.push_back(static_cast<Call::Kind>(number % kLetters));
  }
  return letters;
}

// What lies on a layer that was just removed, as good as ever.
std::string to_remove(size_t i, const std::vector<Call>& before, bool under_others,
                      std::mt19937_64& random) {
  if (!under_others) return numbered("filled", i);
  if (i > 0 && before[i - 1].id == numbered("under", i - 1)) return numbered("over", i - 1);
  return numbered(below(2, random) == 0 ? "under" : "filled", i);
}

const char* name_of(Call::Kind kind) {
  switch (kind) {
    case Call::Kind::Create: return "Create";
    case Call::Kind::CreateReadWrite: return "CreateReadWrite";
    case Call::Kind::Apply: return "ApplyDiff";
    default: return "Remove";
  }
}

}  // namespace

std::vector<std::string> prepared_layers() {
  std::vector<std::string> ids{kBaseLayer};
  for (size_t i = 0; i < kMaxCalls; ++i) {
    ids.push_back(numbered("empty", i));
    ids.push_back(numbered("filled", i));
    ids.push_back(numbered("under", i));
    ids.push_back(numbered("over", i));
  }
  return ids;
}

std::vector<std::string> possible_layers() {
  std::vector<std::string> ids = prepared_layers();
  for (size_t i = 0; i < kMaxCalls; ++i) ids.push_back(numbered("new", i));
  return ids;
}

void prepare_layers(Driver& driver) {
  std::mt19937_64 random(1);
  driver.create(kBaseLayer, "", false);
  driver.apply(kBaseLayer, "", base_tar());
  for (size_t i = 0; i < kMaxCalls; ++i) {
    driver.create(numbered("empty", i), kBaseLayer, false);
    for (const std::string& id :
         {numbered("filled", i), numbered("under", i), numbered("over", i)}) {
      driver.create(id, parent_of(id), false);
      driver.apply(id, parent_of(id), make_tar(random));
    }
  }
}

std::string parent_of(const std::string& id) {
  if (id == kBaseLayer) return "";
  return id.starts_with("over") ? "under" + id.substr(4) : kBaseLayer;
}

Workload make_workload(uint64_t number, uint64_t seed, bool under_others) {
  constexpr uint64_t kWords = 4 + 16 + 64;
  constexpr uint64_t kStride = 37;  // has no divisor in common with that
  std::mt19937_64 random(seed * 1000003 + number);
  Workload workload;
  workload.at_once = below(2, random) == 0;
  workload.neighbour_syncs = below(2, random) == 0;
  workload.neighbour_writes = below(2, random) == 0;
  std::string to_fill;  // as a pull does: fill what was made last
  for (const Call::Kind kind : word(number * kStride % kWords)) {
    const size_t i = workload.calls.size();
    Call call{.kind = kind, .id = numbered("new", i)};
    if (kind == Call::Kind::Create) {
      to_fill = call.id;
    } else if (kind == Call::Kind::Remove) {
      call.id = to_remove(i, workload.calls, under_others, random);
    } else if (kind == Call::Kind::Apply) {
      const bool made = !to_fill.empty() && !workload.at_once;
      call.id = made ? to_fill : numbered("empty", i);
      call.tar = make_tar(random);
      to_fill.clear();
    }
    workload.name += (i == 0 ? "" : workload.at_once ? " | " : ", ") + std::string(name_of(kind));
    workload.calls.push_back(std::move(call));
  }
  if (workload.neighbour_writes) workload.name += "; neighbour writes";
  if (workload.neighbour_syncs) workload.name += "; neighbour syncs";
  return workload;
}

}  // namespace overlayd::test
