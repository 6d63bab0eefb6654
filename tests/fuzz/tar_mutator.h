// SPDX-License-Identifier: Apache-2.0
//
// Mutations that know what a tar looks like. Flipping bytes alone hardly ever gets past the
// checksum of a header; these change fields, members and PAX records, then mostly mend the
// checksums.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace overlayd::fuzz {

/// One header block, ustar and good for an empty file unless told otherwise.
class HeaderBlock {
 public:
  HeaderBlock();
  void set_name(std::string_view name);
  void set_link_name(std::string_view target);
  void set_type(char type);
  void set_size(uint64_t size);

  /// With the checksum mended.
  std::string sealed() const;

 private:
  std::array<char, 512> block_{};
};

/// What LLVMFuzzerCustomMutator is to do: changes the `size` bytes in place, returns the new size.
size_t mutate_tar(uint8_t* data, size_t size, size_t max_size, unsigned seed);

}  // namespace overlayd::fuzz
