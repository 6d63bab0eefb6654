// SPDX-License-Identifier: Apache-2.0
#include "plugin/progress_bar.h"

#include <sstream>
#include <string>

#include <doctest/doctest.h>

namespace overlayd {
namespace {

const std::string kClear = "\r\x1b[K";

TEST_SUITE("progress bar") {
  TEST_CASE("a line says how far it is, and goes in the end") {
    std::ostringstream out;
    {
      ProgressBar bar(out);
      bar.show({.layers_done = 1,
                .layers = 4,
                .bytes = 12'345'678,
                .layer_bytes = 50,
                .layer_total = 100});
    }
    CHECK(out.str() == kClear + "[#########...............] 1 of 4 layers, 12 MB" + kClear);
  }

  TEST_CASE("what has not changed is not drawn again") {
    std::ostringstream out;
    ProgressBar bar(out);
    bar.show({.layers_done = 0, .layers = 2, .bytes = 1'000'000});
    const std::string drawn = out.str();
    bar.show({.layers_done = 0, .layers = 2, .bytes = 1'000'001});
    CHECK(out.str() == drawn);
    bar.show({.layers_done = 2, .layers = 2, .bytes = 1'000'001});
    CHECK(out.str() == drawn + kClear + "[########################] 2 of 2 layers, 1 MB");
  }

  TEST_CASE("nothing drawn leaves nothing behind, and no layers are all layers") {
    std::ostringstream out;
    { const ProgressBar bar(out); }
    CHECK(out.str().empty());
    ProgressBar bar(out);
    bar.show({});
    CHECK(out.str() == kClear + "[########################] 0 of 0 layers, 0 MB");
  }
}

}  // namespace
}  // namespace overlayd
