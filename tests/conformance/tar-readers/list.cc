// SPDX-License-Identifier: Apache-2.0
//
// The members that overlayd's reader finds, for tar-readers.sh.
//
//   list <CORPUS   a line an archive: "TYPE-CODE HEX-NAME SIZE HEX-LINK;" a member, or "error:
//   REASON"
//
// A corpus is archives in a row, each behind its length as a little-endian 32-bit number.
#include <array>
#include <cstdio>
#include <iostream>
#include <string>

#include "core/error.h"
#include "core/tar_reader.h"
#include "tests/support/hex.h"

namespace overlayd {
namespace {

using test::hex;

std::string list(const std::string& archive) {
  StringSource source(archive);
  TarReader reader(source);
  std::string out;
  try {
    while (const auto entry = reader.next()) {
      while (reader.read_data()) {
      }
      out += std::to_string(static_cast<int>(entry->type)) + " " + hex(entry->name) + " " +
             std::to_string(entry->size) + " " + hex(entry->link_name) + ";";
    }
  } catch (const Error& error) {
    const std::string reason = error.what();
    return "error: " + quoted(reason);
  }
  return out;
}

bool next_archive(std::string& archive) {
  std::array<unsigned char, 4> length{};
  if (!std::cin.read(reinterpret_cast<char*>(length.data()), length.size())) return false;
  archive.resize(length[0] | length[1] << 8 | length[2] << 16 |
                 static_cast<size_t>(length[3]) << 24);
  std::cin.read(archive.data(), static_cast<std::streamsize>(archive.size()));
  return true;
}

}  // namespace
}  // namespace overlayd

int main() {
  std::ios::sync_with_stdio(false);
  for (std::string archive; overlayd::next_archive(archive);)
    std::cout << overlayd::list(archive) << "\n";
}
