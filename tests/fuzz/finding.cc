// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/finding.h"

#include <cstdio>
#include <cstdlib>

namespace overlayd::fuzz {

void finding(const std::string& what) {
  std::fprintf(stderr, "FINDING: %s\n", what.c_str());
  std::abort();
}

std::string describe(const Error& error) {
  return std::string(to_string(error.kind())) + ": " + error.what();
}

}  // namespace overlayd::fuzz
