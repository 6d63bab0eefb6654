// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/tar_mutator.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <random>
#include <span>
#include <vector>

// libFuzzer's own mutations, with the dictionary.
extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace overlayd::fuzz {
namespace {

constexpr size_t kBlock = 512;
constexpr size_t kTypeOffset = 156;
constexpr size_t kMagicOffset = 257;

struct Field {
  size_t offset;
  size_t size;
};
constexpr Field kName{0, 100};
constexpr Field kSize{124, 12};
constexpr Field kChecksum{148, 8};
constexpr Field kLinkName{157, 100};
constexpr Field kFields[] = {
    kName,    {100, 8}, {108, 8}, {116, 8},   kSize,     {136, 12}, {156, 1},  kLinkName,
    {257, 8}, {329, 8}, {337, 8}, {345, 155}, {386, 96}, {482, 1},  {483, 12}, {500, 12},
};

// Few names, so that members meet each other.
constexpr std::string_view kNames[] = {
    "a",
    "b",
    "d",
    "d/",
    "d/a",
    "d/e/",
    "d/e/f",
    "./a",
    "d/../a",
    "s",
    "s/a",
    "s/e/f",
    ".",
    "./",
    "..",
    "../canary",
    "../../canary",
    "/mnt/canary",
    "s/canary",
    "d/s",
    "d/s/canary",
    ".wh.a",
    ".wh.d",
    "d/.wh.a",
    ".wh.d/a",
    ".wh.s",
    ".wh.",
    ".wh..wh..opq",
    "d/.wh..wh..opq",
    ".wh..wh.x",
    ".wh..wh.x/a",
    "a/b",
    ".wh...",
    "s/.wh..wh..opq",
    "up/file",
    "up/x/y",
    "out/file",
    "out/x",
    "d/e/x",
    "up/../a",
    "s/.wh.e",
};
constexpr std::string_view kTargets[] = {
    "a",           "b",       "d",   "d/a",       "d/e",          "s",    "..",
    "../..",       "/",       ".",   "../canary", "../../canary", "/mnt", "/mnt/canary",
    "/mnt/layers", "d/../..", "s/s", "/d",        "./",           "d/",   "/proc/self/root",
};
constexpr std::string_view kTypes{"0123456SxgLKV7D\0", 16};
constexpr uint64_t kSizes[] = {0, 1, 2, 511, 512, 513, 1024, 0x200000000, 0x7fffffffffffffff};
constexpr std::string_view kKeys[] = {
    "path",
    "linkpath",
    "size",
    "mtime",
    "uid",
    "gid",
    "uname",
    "hdrcharset",
    "SCHILY.realsize",
    "SCHILY.devmajor",
    "SCHILY.xattr.user.a",
    "SCHILY.xattr.user.overlay.opaque",
    "SCHILY.xattr.trusted.a",
    "SCHILY.xattr.trusted.overlay.opaque",
    "SCHILY.xattr.security.capability",
    "SCHILY.xattr.system.posix_acl_access",
    "SCHILY.acl.access",
    "LIBARCHIVE.xattr.user.b",
    "LIBARCHIVE.symlinktype",
    "RHT.security.selinux",
    "SUN.holesdata",
    "GNU.sparse.major",
    "GNU.sparse.minor",
    "GNU.sparse.name",
    "GNU.sparse.realsize",
    "GNU.sparse.size",
    "GNU.sparse.map",
    "GNU.sparse.numblocks",
    "GNU.sparse.offset",
    "GNU.sparse.numbytes",
};
constexpr std::string_view kValues[] = {
    "",           "0",
    "1",          "-1",
    "512",        "513",
    "1.5",        "-1.25",
    "4294967295", "9223372036854775807",
    "y",          "a",
    "0,1,2,1",    "0,0",
    "BINARY",     "99999999999999999999",
};

void put(std::span<char> block, Field field, std::string_view value) {
  const std::span<char> place = block.subspan(field.offset, field.size);
  std::fill(place.begin(), place.end(), '\0');
  std::copy_n(value.begin(), std::min(value.size(), place.size()), place.begin());
}

// What octal cannot say becomes base-256, as GNU tar writes it.
void put_size(std::span<char> block, uint64_t size) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%011llo", static_cast<unsigned long long>(size));
  if (size <= 077777777777) return put(block, kSize, text.data());
  put(block, kSize, "\x80");
  for (size_t i = 0; i < sizeof size; ++i)
    block[kSize.offset + kSize.size - 1 - i] = static_cast<char>(size >> (8 * i));
}

void seal(std::span<char> block) {
  std::fill_n(block.begin() + kChecksum.offset, kChecksum.size, ' ');
  unsigned sum = 0;
  for (const char byte : block) sum += static_cast<unsigned char>(byte);
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "%06o", sum);
  put(block, kChecksum, {text.data(), text.size()});
  block[kChecksum.offset + 7] = ' ';
}

size_t padded(size_t size) { return (size + kBlock - 1) / kBlock * kBlock; }

bool is_extension(char type) { return type == 'x' || type == 'g' || type == 'L' || type == 'K'; }

bool has_data(char type) {
  return is_extension(type) || type == '0' || type == '\0' || type == 'S' || type == '7';
}

std::string pax_record(std::string_view key, std::string_view value) {
  const size_t rest = key.size() + value.size() + 3;
  size_t length = rest + 1;
  while (std::to_string(length).size() + rest != length)
    length = std::to_string(length).size() + rest;
  return std::to_string(length) + ' ' + std::string(key) + '=' + std::string(value) + '\n';
}

// ---------------------------------------------------------------------------------------------------

/// A tar taken apart into headers with what follows them, however broken it is.
class TarParts {
 public:
  struct Part {
    std::string header;  ///< a block; shorter only at the end
    std::string body;    ///< with its padding
    bool is_zero() const { return header.find_first_not_of('\0') == header.npos; }
    bool is_whole() const { return header.size() == kBlock && !is_zero(); }
    char type() const { return header[kTypeOffset]; }
  };

  explicit TarParts(std::string_view bytes) {
    while (!bytes.empty()) {
      Part part;
      part.header = take(bytes, kBlock);
      if (part.is_whole() && has_data(part.type()))
        part.body = take(bytes, std::min<uint64_t>(padded(size_field(part.header)), bytes.size()));
      parts_.push_back(std::move(part));
    }
  }

  std::vector<Part>& parts() { return parts_; }

  std::string joined() const {
    std::string bytes;
    for (const Part& part : parts_) bytes += part.header + part.body;
    return bytes;
  }

 private:
  static std::string take(std::string_view& bytes, size_t size) {
    const std::string taken(bytes.substr(0, size));
    bytes.remove_prefix(taken.size());
    return taken;
  }

  static uint32_t size_field(const std::string& header) {
    uint32_t size = 0;
    for (const char digit : header.substr(kSize.offset, kSize.size)) {
      if (digit < '0' || digit > '7') break;
      size = (size << 3 | static_cast<uint32_t>(digit - '0')) & 0xffffff;
    }
    return size;
  }

  std::vector<Part> parts_;
};

class Mutation {
 public:
  Mutation(std::string_view bytes, unsigned seed) : tar_(bytes), random_(seed) {}

  std::string run() {
    for (size_t times = 1 + pick(3); times > 0; --times) change();
    if (pick(16) != 0) mend();
    return tar_.joined();
  }

 private:
  using Part = TarParts::Part;
  std::vector<Part>& parts() { return tar_.parts(); }

  size_t pick(size_t below) { return random_() % below; }
  template <typename Range>
  auto any_of(const Range& range) {
    return range[pick(std::size(range))];
  }

  // One that is a header; nullptr when there is none.
  Part* any_part() {
    std::vector<Part*> whole;
    for (Part& part : parts()) {
      if (part.is_whole()) whole.push_back(&part);
    }
    return whole.empty() ? nullptr : whole[pick(whole.size())];
  }

  void change() {
    Part* part = any_part();
    const size_t what = part == nullptr ? 0 : pick(16);
    switch (what) {
      case 0:
      case 1: return insert(new_member());
      case 2: return insert(new_extension());
      case 3: return insert(*part);
      case 4: parts().erase(parts().begin() + (part - parts().data())); return;
      case 5: return std::swap(*part, *any_part());
      case 6:
      case 7: return put(part->header, kName, any_of(kNames));
      case 8: return put(part->header, kLinkName, any_of(kTargets));
      case 9: part->header[kTypeOffset] = any_of(kTypes); return;
      case 10: return put_size(part->header, pick(2) != 0 ? part->body.size() : any_of(kSizes));
      case 11:
      case 12: return change_field(*part);
      case 13: return change_bytes(part->body, part->body.size());
      case 14: return add_record(*part);
      default:
        return put(part->header, {kMagicOffset, 8},
                   pick(2) != 0 ? std::string_view("ustar\00000", 8) : "ustar  ");
    }
  }

  // In place: `bytes` keeps its size.
  static void change_bytes(std::string& bytes, size_t end, size_t begin = 0) {
    if (begin >= end) return;
    std::vector<uint8_t> copy(bytes.begin() + static_cast<ptrdiff_t>(begin),
                              bytes.begin() + static_cast<ptrdiff_t>(end));
    copy.resize(LLVMFuzzerMutate(copy.data(), copy.size(), copy.size()));
    copy.resize(end - begin);
    std::copy(copy.begin(), copy.end(), bytes.begin() + static_cast<ptrdiff_t>(begin));
  }

  void change_field(Part& part) {
    const Field field = any_of(kFields);
    change_bytes(part.header, field.offset + field.size, field.offset);
  }

  Part new_part(char type, std::string body) {
    HeaderBlock header;
    header.set_name(any_of(kNames));
    header.set_type(type);
    header.set_size(body.size());
    if (type == '1' || type == '2') header.set_link_name(any_of(kTargets));
    body.resize(padded(body.size()));
    return {header.sealed(), std::move(body)};
  }

  Part new_member() {
    const char type = "0012355"[pick(7)];
    return new_part(type, type == '0' ? std::string(pick(3) * 300, 'z') : "");
  }

  Part new_extension() {
    if (pick(4) == 0)
      return new_part("LK"[pick(2)], std::string(pick(2) != 0 ? any_of(kNames) : any_of(kTargets)));
    std::string records;
    for (size_t count = 1 + pick(3); count > 0; --count) records += new_record();
    return new_part(pick(8) == 0 ? 'g' : 'x', records);
  }

  std::string new_record() {
    const std::string_view key = any_of(kKeys);
    const bool is_name = key.ends_with("path") || key.ends_with("name");
    return pax_record(key, is_name && pick(4) != 0 ? any_of(kNames) : any_of(kValues));
  }

  // To a PAX header, or in front of the member as a header of its own.
  void add_record(Part& part) {
    if (part.type() != 'x') {
      const auto place = parts().begin() + (&part - parts().data());
      parts().insert(place, new_part('x', new_record()));
      return;
    }
    part.body.resize(std::min(part.body.size(), part.body.find('\0')));
    part.body += new_record();
    put_size(part.header, part.body.size());
    part.body.resize(padded(part.body.size()));
  }

  void insert(Part part) {
    parts().insert(parts().begin() + static_cast<ptrdiff_t>(pick(parts().size() + 1)),
                   std::move(part));
  }

  void mend() {
    for (Part& part : parts()) {
      if (part.is_whole()) seal(part.header);
    }
  }

  TarParts tar_;
  std::minstd_rand random_;
};

}  // namespace

HeaderBlock::HeaderBlock() {
  put(block_, {100, 8}, "0000644");
  put(block_, {108, 8}, "0000000");
  put(block_, {116, 8}, "0000000");
  put(block_, {136, 12}, "00000000000");
  put(block_, {kMagicOffset, 8}, {"ustar\00000", 8});
  set_type('0');
  set_size(0);
}

void HeaderBlock::set_name(std::string_view name) { put(block_, kName, name); }
void HeaderBlock::set_link_name(std::string_view target) { put(block_, kLinkName, target); }
void HeaderBlock::set_type(char type) { block_[kTypeOffset] = type; }
void HeaderBlock::set_size(uint64_t size) { put_size(block_, size); }

std::string HeaderBlock::sealed() const {
  std::string block(block_.begin(), block_.end());
  seal(block);
  return block;
}

size_t mutate_tar(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  // Now and then any bytes at all.
  if (seed % 8 == 0) return LLVMFuzzerMutate(data, size, max_size);
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string mutated = Mutation(bytes, seed / 8).run();
  const size_t kept = std::min(mutated.size(), max_size);
  std::memcpy(data, mutated.data(), kept);
  return kept;
}

}  // namespace overlayd::fuzz
