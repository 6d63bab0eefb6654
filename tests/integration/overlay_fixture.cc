// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/overlay_fixture.h"

#include <fcntl.h>

#include <doctest/doctest.h>

#include "core/error.h"
#include "core/sys.h"

namespace overlayd::test {

std::string content_of(int dirfd, const std::string& path) {
  return sys::try_read_file(dirfd, path, 4096).value_or("");
}

void put_file(int dirfd, const std::string& path, const std::string& content) {
  const UniqueFd fd = sys::openat(dirfd, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  sys::write_full(fd.get(), std::as_bytes(std::span(content)));
}

void make_dirs(int dirfd, const std::string& path) {
  for (size_t end = path.find('/'); end != std::string::npos; end = path.find('/', end + 1)) {
    sys::mkdirat(dirfd, path.substr(0, end), 0755);
  }
  sys::mkdirat(dirfd, path, 0755);
}

std::vector<OverlaySupport> usable_methods(int scratch_dirfd) {
  std::vector<OverlaySupport> all;
  for (const auto method : {MountMethod::LayerFds, MountMethod::LayerNames, MountMethod::Classic}) {
    try {
      all.push_back(probe_overlay(scratch_dirfd, method));
    } catch (const Error& error) {
      MESSAGE("not tested: " << error.what());
    }
  }
  REQUIRE(!all.empty());
  return all;
}

OverlaySpec make_layers(int home, size_t lowers, const std::string& prefix) {
  OverlaySpec spec;
  sys::mkdirat(home, "l", 0755);
  for (size_t i = 0; i < lowers; ++i) {
    const std::string number = std::to_string(i);
    const std::string diff = prefix + number + "/diff";
    // As long as a real link, so that limits bite where they would in a store.
    const std::string link =
        "l/ABCDEFGHIJKLMNOPQRSTUV" + std::string(4 - number.size(), '0') + number;
    make_dirs(home, diff);
    put_file(home, diff + "/" + number, number);
    put_file(home, diff + "/who", number);
    if (!sys::try_readlinkat(home, link)) sys::symlinkat("../" + diff, home, link);
    spec.lowers.push_back({.path = link});
  }
  const std::string top = prefix + "top";
  make_dirs(home, top + "/diff");
  make_dirs(home, top + "/work");
  make_dirs(home, "merged");
  spec.upper = OverlayLayer{.path = top + "/diff"};
  spec.work = OverlayLayer{.path = top + "/work"};
  return spec;
}

OverlaySpec read_only(OverlaySpec spec) {
  spec.upper.reset();
  spec.work.reset();
  return spec;
}

}  // namespace overlayd::test
