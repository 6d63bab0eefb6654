// SPDX-License-Identifier: Apache-2.0
//
// TarBuilder: odd, broken and foreign archives, written down in code. It encodes by itself and not
// with TarWriter, so that the two check each other. Nothing is validated: what a test asks for, it
// gets.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace overlayd::test {

/// Two's complement in `width` bytes with the marker bit, as GNU tar stores what octal cannot.
std::string base256(int64_t value, size_t width);
/// "<length> <key>=<value>\n"
std::string pax_record(const std::string& key, const std::string& value);

class TarBuilder {
 public:
  enum class Format { V7, Ustar, Gnu };

  /// The fields of one header block. Numbers are octal; patch() sets what octal cannot say.
  struct Header {
    std::string name = {};
    char type = '0';
    uint64_t mode = 0644;
    uint64_t uid = 0, gid = 0;
    uint64_t size = 0;
    uint64_t mtime = 0;
    std::string link_name = {};
    uint64_t dev_major = 0, dev_minor = 0;
    std::string prefix = {};
    Format format = Format::Ustar;
  };
  struct Run {
    uint64_t offset;
    std::string data;
  };
  using Records = std::vector<std::pair<std::string, std::string>>;

  /// One block, correct checksum.
  TarBuilder& header(const Header& header);
  /// Header, data and padding; the size field is the data's.
  TarBuilder& member(Header header, const std::string& data);
  TarBuilder& file(const std::string& name, const std::string& data = "");

  /// An extension header of PAX ('x', 'g') with these records, or with any body.
  TarBuilder& pax(const Records& records, char type = 'x');
  TarBuilder& extension(char type, const std::string& body);
  /// GNU 'L' and 'K' headers.
  TarBuilder& long_name(const std::string& name);
  TarBuilder& long_link(const std::string& name);

  /// Sparse files, in the order of their invention: GNU type 'S', PAX 0.0, 0.1 and 1.0.
  TarBuilder& sparse_gnu(Header header, uint64_t real_size, const std::vector<Run>& runs);
  TarBuilder& sparse_0_0(Header header, uint64_t real_size, const std::vector<Run>& runs);
  TarBuilder& sparse_0_1(Header header, uint64_t real_size, const std::vector<Run>& runs);
  TarBuilder& sparse_1_0(Header header, uint64_t real_size, const std::vector<Run>& runs);

  /// Overwrites bytes of the header block written last, and corrects its checksum.
  TarBuilder& patch(size_t offset, const std::string& bytes);
  TarBuilder& break_checksum();

  TarBuilder& raw(const std::string& bytes);
  TarBuilder& zero_blocks(size_t count);
  /// The two closing blocks.
  TarBuilder& end() { return zero_blocks(2); }
  /// Cuts the archive to this length; negative counts from its end.
  TarBuilder& cut(int64_t length);

  const std::string& str() const { return bytes_; }

 private:
  void put_field(size_t offset, const std::string& bytes);
  void seal();
  void pad();

  std::string bytes_;
  size_t last_header_ = 0;
};

}  // namespace overlayd::test
