// SPDX-License-Identifier: Apache-2.0
//
// Writes what is generated into docs/configuration.md, which is named on the command line.
#include <exception>
#include <fstream>
#include <iostream>
#include <iterator>

#include "tests/docs/configuration.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: write_docs PAGE\n";
    return 2;
  }
  try {
    std::ifstream in(argv[1]);
    const std::string page(std::istreambuf_iterator<char>(in), {});
    const std::string made = overlayd::with_tables(page);
    std::ofstream out(argv[1]);
    out << made << std::flush;
    return out ? 0 : 1;
  } catch (const std::exception& error) {
    std::cerr << argv[1] << ": " << error.what() << "\n";
    return 1;
  }
}
