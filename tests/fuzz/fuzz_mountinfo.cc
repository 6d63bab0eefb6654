// SPDX-License-Identifier: Apache-2.0
//
// Input: any text, given to every small parser: the kernel's mount table, the `lower` file, link
// targets, layer ids, names in layer tars, store options, xattr values.
// Promises: only errors of the announced kind come out, what is accepted keeps its rules, and no
// text makes a message of more than one line.
#include <string>
#include <string_view>
#include <vector>

#include "core/acl.h"
#include "core/capability.h"
#include "core/layer_id.h"
#include "core/layout.h"
#include "core/mountinfo.h"
#include "core/store_options.h"
#include "core/whiteout.h"
#include "tests/fuzz/finding.h"

namespace {

using namespace overlayd;
using namespace overlayd::fuzz;

bool is_one_clean_line(std::string_view text) {
  for (const char byte : text) {
    if (static_cast<unsigned char>(byte) < ' ' || byte == '\x7f') return false;
  }
  return true;
}

// True: taken. False: refused with an error of this kind and a message fit for a log.
template <typename Work>
bool accepts(ErrorKind kind, Work work) {
  try {
    work();
    return true;
  } catch (const Error& error) {
    if (error.kind() != kind) finding("not the announced kind: " + describe(error));
    check(is_one_clean_line(error.what()), "messages are one line");
    return false;
  }
}

void try_mountinfo(std::string_view text) {
  accepts(ErrorKind::Corrupt, [&] {
    for (const MountEntry& entry : parse_mountinfo(text))
      check(!entry.root.empty() && !entry.mount_point.empty(), "a mount has a root and a place");
  });
}

void try_lower(std::string_view text) {
  accepts(ErrorKind::Corrupt, [&] {
    const std::vector<std::string> links = layout::parse_lower(text);
    check(!links.empty(), "a 'lower' file names links");
    for (const std::string& link : links) check(layout::is_link(link), "it names nothing else");
    // A ':' behind the last one is forgiven.
    const std::string spelled = layout::format_lower(links);
    check(text == spelled || text == spelled + ":", "a 'lower' file has one spelling");
  });
}

void try_layer_id(std::string_view text) {
  accepts(ErrorKind::InvalidArgument, [&] {
    const LayerId id = LayerId::parse(text);
    check(id.str() == text, "an id is taken as it is");
    check(text.size() <= LayerId::kMaxLength && text.find('/') == text.npos, "an id is a name");
    check(!text.starts_with('.') && text != layout::kLinkDirectory, "an id is no name of our own");
    check(layout::id_in_link_target(layout::link_target(id)) == text,
          "link targets are reversible");
  });
}

void try_marker(std::string_view text) {
  const whiteout::Marker marker = whiteout::parse_marker(text);
  const bool names_one = marker.kind == whiteout::MarkerKind::Deleted;
  check(names_one != marker.name.empty(), "a whiteout, and only it, has a name");
  if (!names_one) return;
  check(marker.name != "." && marker.name != "..", "a whiteout's name is a name");
  check(whiteout::marker_for(marker.name) == text, "markers are reversible");
}

void try_xattr_values(std::string_view text) {
  constexpr uint32_t kRoot = 100000;
  const std::string on_disk = capability::for_disk(text, kRoot);
  check(on_disk == text || capability::for_tar(on_disk) == text, "capabilities are reversible");
  const IdMaps maps{.uids = IdMap({{0, kRoot, 65536}}), .gids = IdMap({{0, kRoot, 65536}})};
  accepts(ErrorKind::InvalidArgument, [&] {
    check(acl::for_tar(acl::for_disk(text, maps), maps) == text, "ACLs are reversible");
  });
}

void try_options(std::string_view text) {
  const std::string value(text);
  const auto try_one = [](const auto& parse) {
    try {
      parse();
    } catch (const Error& error) {
      check(error.kind() == ErrorKind::InvalidArgument, "options are refused as such");
      check(is_one_clean_line(error.what()), "messages are one line");
    }
  };
  try_one([&] { parse_store_options({value}); });
  for (const char* key : {"size", "inodes"}) {
    try_one([&] {
      parse_create_options({.storage_options = {{key, value}}, .is_writable = true}, {});
    });
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = as_text(data, size);
  check(is_one_clean_line(quoted(text)), "quoted text is one line");
  try_mountinfo(text);
  try_lower(text);
  layout::id_in_link_target(text);
  try_layer_id(text);
  try_marker(text);
  try_xattr_values(text);
  try_options(text);
  return 0;
}
