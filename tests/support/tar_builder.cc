// SPDX-License-Identifier: Apache-2.0
#include "tests/support/tar_builder.h"

#include <array>
#include <cstdio>

namespace overlayd::test {
namespace {

constexpr size_t kBlock = 512;
constexpr size_t kSizeOffset = 124;
constexpr size_t kChecksumOffset = 148;

std::string octal(uint64_t value, int digits) {
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%0*llo", digits, static_cast<unsigned long long>(value));
  return text.data();
}

std::string joined(const std::vector<TarBuilder::Run>& runs) {
  std::string data;
  for (const auto& run : runs) data += run.data;
  return data;
}

}  // namespace

std::string base256(int64_t value, size_t width) {
  std::string bytes(width, value < 0 ? '\xff' : '\0');
  auto rest = static_cast<uint64_t>(value);
  for (size_t i = 0; i < width && i < 8; ++i, rest >>= 8)
    bytes[width - 1 - i] = static_cast<char>(rest & 0xff);
  bytes[0] = static_cast<char>(bytes[0] | 0x80);
  return bytes;
}

std::string pax_record(const std::string& key, const std::string& value) {
  const std::string rest = " " + key + "=" + value + "\n";
  size_t length = rest.size();
  while (length != rest.size() + std::to_string(length).size())
    length = rest.size() + std::to_string(length).size();
  return std::to_string(length) + rest;
}

void TarBuilder::put_field(size_t offset, const std::string& bytes) {
  bytes_.replace(last_header_ + offset, bytes.size(), bytes);
}

void TarBuilder::seal() {
  put_field(kChecksumOffset, "        ");
  uint64_t sum = 0;
  for (size_t i = 0; i < kBlock; ++i) sum += static_cast<unsigned char>(bytes_[last_header_ + i]);
  put_field(kChecksumOffset, octal(sum, 6) + std::string("\0 ", 2));
}

void TarBuilder::pad() { bytes_.append((kBlock - bytes_.size() % kBlock) % kBlock, '\0'); }

TarBuilder& TarBuilder::header(const Header& header) {
  last_header_ = bytes_.size();
  bytes_.append(kBlock, '\0');
  put_field(0, header.name.substr(0, 100));
  put_field(100, octal(header.mode, 7));
  put_field(108, octal(header.uid, 7));
  put_field(116, octal(header.gid, 7));
  put_field(kSizeOffset, octal(header.size, 11));
  put_field(136, octal(header.mtime, 11));
  put_field(156, std::string(1, header.type));
  put_field(157, header.link_name.substr(0, 100));
  if (header.format == Format::Ustar) put_field(257, std::string("ustar\00000", 8));
  if (header.format == Format::Gnu) put_field(257, std::string("ustar  \0", 8));
  if (header.format != Format::V7) {
    put_field(329, octal(header.dev_major, 7));
    put_field(337, octal(header.dev_minor, 7));
  }
  put_field(345, header.prefix.substr(0, 155));
  seal();
  return *this;
}

TarBuilder& TarBuilder::member(Header fields, const std::string& data) {
  fields.size = data.size();
  return header(fields).raw(data);
}

TarBuilder& TarBuilder::file(const std::string& name, const std::string& data) {
  return member({.name = name}, data);
}

TarBuilder& TarBuilder::pax(const Records& records, char type) {
  std::string body;
  for (const auto& [key, value] : records) body += pax_record(key, value);
  return extension(type, body);
}

TarBuilder& TarBuilder::extension(char type, const std::string& body) {
  return member({.name = "PaxHeaders/extension", .type = type}, body);
}

TarBuilder& TarBuilder::long_name(const std::string& name) {
  return member({.name = "././@LongLink", .type = 'L', .format = Format::Gnu}, name + '\0');
}

TarBuilder& TarBuilder::long_link(const std::string& name) {
  return member({.name = "././@LongLink", .type = 'K', .format = Format::Gnu}, name + '\0');
}

TarBuilder& TarBuilder::sparse_gnu(Header fields, uint64_t real_size,
                                   const std::vector<Run>& runs) {
  fields.type = 'S';
  fields.format = Format::Gnu;
  const std::string data = joined(runs);
  fields.size = data.size();
  header(fields);
  const auto entry = [&](size_t i) {
    return octal(runs[i].offset, 11) + '\0' + octal(runs[i].data.size(), 11) + '\0';
  };
  put_field(483, octal(real_size, 11));
  size_t next = 0;
  for (; next < runs.size() && next < 4; ++next) put_field(386 + 24 * next, entry(next));
  if (next < runs.size()) put_field(482, "\1");
  seal();
  while (next < runs.size()) {  // 21 entries in every further block
    std::string block;
    for (size_t i = 0; i < 21 && next < runs.size(); ++i) block += entry(next++);
    block.resize(kBlock, '\0');
    if (next < runs.size()) block[504] = 1;
    bytes_ += block;
  }
  return raw(data);
}

TarBuilder& TarBuilder::sparse_0_0(Header fields, uint64_t real_size,
                                   const std::vector<Run>& runs) {
  Records records{{"GNU.sparse.size", std::to_string(real_size)},
                  {"GNU.sparse.numblocks", std::to_string(runs.size())}};
  for (const Run& run : runs) {
    records.emplace_back("GNU.sparse.offset", std::to_string(run.offset));
    records.emplace_back("GNU.sparse.numbytes", std::to_string(run.data.size()));
  }
  return pax(records).member(std::move(fields), joined(runs));
}

TarBuilder& TarBuilder::sparse_0_1(Header fields, uint64_t real_size,
                                   const std::vector<Run>& runs) {
  std::string map;
  for (const Run& run : runs) {
    map += (map.empty() ? "" : ",") + std::to_string(run.offset) + "," +
           std::to_string(run.data.size());
  }
  pax({{"GNU.sparse.size", std::to_string(real_size)},
       {"GNU.sparse.numblocks", std::to_string(runs.size())},
       {"GNU.sparse.name", fields.name},
       {"GNU.sparse.map", map}});
  fields.name = "GNUSparseFile.0/" + fields.name;
  return member(std::move(fields), joined(runs));
}

TarBuilder& TarBuilder::sparse_1_0(Header fields, uint64_t real_size,
                                   const std::vector<Run>& runs) {
  std::string map = std::to_string(runs.size()) + "\n";
  for (const Run& run : runs)
    map += std::to_string(run.offset) + "\n" + std::to_string(run.data.size()) + "\n";
  map.append((kBlock - map.size() % kBlock) % kBlock, '\0');
  pax({{"GNU.sparse.major", "1"},
       {"GNU.sparse.minor", "0"},
       {"GNU.sparse.name", fields.name},
       {"GNU.sparse.realsize", std::to_string(real_size)}});
  fields.name = "GNUSparseFile.0/" + fields.name;
  return member(std::move(fields), map + joined(runs));
}

TarBuilder& TarBuilder::patch(size_t offset, const std::string& bytes) {
  put_field(offset, bytes);
  seal();
  return *this;
}

TarBuilder& TarBuilder::break_checksum() {
  put_field(kChecksumOffset, "000001");
  return *this;
}

TarBuilder& TarBuilder::raw(const std::string& bytes) {
  bytes_ += bytes;
  pad();
  return *this;
}

TarBuilder& TarBuilder::zero_blocks(size_t count) {
  bytes_.append(count * kBlock, '\0');
  return *this;
}

TarBuilder& TarBuilder::cut(int64_t length) {
  const auto size = static_cast<int64_t>(bytes_.size());
  bytes_.resize(static_cast<size_t>(length < 0 ? size + length : length));
  return *this;
}

}  // namespace overlayd::test
