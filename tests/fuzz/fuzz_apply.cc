// SPDX-License-Identifier: Apache-2.0
//
// Input: a layer tar, extracted into a directory with canaries around it.
// Promises: nothing outside of that directory changes; only errors that blame the tar come out; no
// descriptor stays open. A layer that was taken is as recorded, can be archived, twice the same,
// and what was archived makes the same layer again, of the same size. All but the last also holds
// for a layer that lies on another.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/content_check.h"
#include "core/layer_apply.h"
#include "core/layer_diff.h"
#include "core/sys.h"
#include "tests/fuzz/canary.h"
#include "tests/fuzz/finding.h"
#include "tests/fuzz/tar_mutator.h"

namespace {

using namespace overlayd;
using namespace overlayd::fuzz;

// Holes cost nothing on disk, but all of their size in a tar.
constexpr int64_t kLargestRoundTrip = 1024 * 1024;

std::unique_ptr<CanaryCage> cage;

int next_fd() {
  const UniqueFd fd = sys::openat(AT_FDCWD, "/", O_PATH);
  return fd.get();
}

bool blames_the_tar(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::BadArchive:
    case ErrorKind::InvalidArgument:
    case ErrorKind::Unsupported:
    case ErrorKind::NoSpace: return true;
    default: return false;
  }
}

void check_record(int root, int record) {
  const ContentReport report = compare_content(root, record);
  if (report.differences.empty()) return;
  const auto& [path, what] = report.differences.front();
  finding("what is recorded is what is there; " + quoted(path) + " " + what);
}

std::optional<int64_t> try_apply(int root, std::string_view tar, OpenLower open_lower = {}) {
  StringSource source(tar);
  UniqueFd digests(::memfd_create("digests", MFD_CLOEXEC));
  const UniqueFd record = sys::openat(AT_FDCWD, sys::fd_path(digests.get()), O_RDONLY);
  try {
    const int64_t size =
        apply_layer_tar(root, IdMaps{}, source,
                        {.open_lower = std::move(open_lower), .digests = std::move(digests)})
            .size;
    check_record(root, record.get());
    return size;
  } catch (const Error& error) {
    if (!blames_the_tar(error.kind())) finding("the tar is not blamed: " + describe(error));
    return std::nullopt;
  }
}

MergedDir merged(UniqueFd layer) {
  std::vector<UniqueFd> layers;
  layers.push_back(std::move(layer));
  return MergedDir(std::move(layers));
}

DiffSource alone(int root) {
  return {.upper = merged(sys::openat(root, ".", O_RDONLY | O_DIRECTORY)),
          .parent = std::nullopt,
          .direct = true};
}

std::string archive(int root) {
  StringSink sink;
  NullObserver observer;
  write_layer_tar(alone(root), IdMaps{}, observer, sink);
  return sink.text();
}

void check_same_tar(const std::string& a, const std::string& b, const std::string& promise) {
  if (a == b) return;
  const auto first = std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first;
  const auto place = static_cast<size_t>(first - a.begin());
  const size_t block = place / 512 * 512;
  const auto name_in = [&](const std::string& tar) {
    return quoted(std::string(tar.substr(std::min(block, tar.size()), 100).c_str()));
  };
  finding(promise + "; the difference is at " + std::to_string(place) + ", in " + name_in(a) +
          " or " + name_in(b));
}

const ChangeSink kIgnore = [](std::string_view, ChangeKind) {};

void round_trip(int root, int64_t size, int other_root) {
  const std::string tar = archive(root);
  check_same_tar(tar, archive(root), "archiving a layer twice gives the same tar");
  list_changes(alone(root), kIgnore);
  StringSource source(tar);
  const int64_t other_size = apply_layer_tar(other_root, IdMaps{}, source).size;
  check(other_size == size, "a layer made of its own tar has the same size");
  check_same_tar(tar, archive(other_root), "a layer made of its own tar gives the same tar");
}

void run_alone(std::string_view tar) {
  const UniqueFd root = cage->make_layer("a");
  const UniqueFd other_root = cage->make_layer("b");
  const auto before = cage->look();
  const auto size = try_apply(root.get(), tar);
  check(cage->look() == before, "nothing outside of the layer changes");
  if (!size) return;
  check(*size >= 0 && *size == measure(alone(root.get())), "the size is that of the layer");
  if (*size <= kLargestRoundTrip) round_trip(root.get(), *size, other_root.get());
  check(cage->look() == before, "nothing outside of the layer changes in a round trip");
}

void run_on_another(std::string_view tar) {
  const UniqueFd root = cage->make_layer("c");
  const auto before = cage->look();
  const auto size = try_apply(root.get(), tar, [] { return merged(cage->open_lower()); });
  check(cage->look() == before, "neither the layer below changes nor anything else");
  if (!size) return;
  check(*size == measure(alone(root.get())), "the size is that of the layer on another");
  list_changes({.upper = merged(sys::openat(root.get(), ".", O_RDONLY | O_DIRECTORY)),
                .parent = merged(cage->open_lower()),
                .direct = true},
               kIgnore);
  if (*size <= kLargestRoundTrip)
    check_same_tar(archive(root.get()), archive(root.get()),
                   "archiving a layer twice gives the same tar");
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  ::umask(0);
  try {
    cage = std::make_unique<CanaryCage>();
    return 0;
  } catch (const Error& error) {
    std::fprintf(stderr, "fuzz_apply needs root: %s\n", error.what());
    std::exit(1);
  }
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const int lowest_free_fd = next_fd();
  try {
    run_alone(as_text(data, size));
    run_on_another(as_text(data, size));
    cage->remove_layers();
  } catch (const Error& error) {
    finding("not expected here: " + describe(error));
  }
  check(next_fd() == lowest_free_fd, "no descriptor stays open");
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  return mutate_tar(data, size, max_size, seed);
}
