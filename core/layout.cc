// SPDX-License-Identifier: Apache-2.0
#include "core/layout.h"

#include <algorithm>
#include <charconv>

#include "core/error.h"
#include "core/sys.h"

namespace overlayd::layout {
namespace {

constexpr std::string_view kBase32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
constexpr std::string_view kTargetStart = "../";
constexpr std::string_view kTargetEnd = "/diff";

/// Where the next one would begin in a `lower` file: each has its "l/" and a ':'.
size_t end_of(const std::vector<std::string>& links) { return links.size() * (kLinkLength + 3); }

}  // namespace

std::string random_link() {
  std::string link;
  // One byte a character wastes three bits of it and stays uniform: 32 divides 256.
  for (const std::byte byte : sys::random_bytes(kLinkLength)) {
    link += kBase32[std::to_integer<size_t>(byte) % kBase32.size()];
  }
  return link;
}

std::string random_name() { return random_link(); }

bool is_link(std::string_view text) {
  return text.size() == kLinkLength && text.find_first_not_of(kBase32) == std::string_view::npos;
}

std::string link_path(std::string_view link) {
  return std::string(kLinkDirectory) + "/" + std::string(link);
}

std::string link_target(const LayerId& id) {
  return std::string(kTargetStart) + id.str() + std::string(kTargetEnd);
}

std::string_view id_in_link_target(std::string_view target) {
  if (!target.starts_with(kTargetStart) || !target.ends_with(kTargetEnd)) return {};
  if (target.size() < kTargetStart.size() + kTargetEnd.size()) return {};
  target.remove_prefix(kTargetStart.size());
  target.remove_suffix(kTargetEnd.size());
  return target;
}

std::string format_lower(const std::vector<std::string>& links) {
  std::string text;
  for (const std::string& link : links) {
    if (!text.empty()) text += ':';
    text += link_path(link);
  }
  return text;
}

std::vector<std::string> parse_lower(std::string_view text) {
  if (text.empty()) throw Error(ErrorKind::Corrupt, "the 'lower' file is empty");
  std::vector<std::string> links = parse_torn_lower(text);
  if (is_whole_lower(text, links)) return links;
  const std::string_view rest = text.substr(std::min(end_of(links), text.size()));
  throw Error(
      ErrorKind::Corrupt,
      "the 'lower' file names " + quoted(rest.substr(0, rest.find(':'))) + ", which is no link");
}

std::vector<std::string> parse_torn_lower(std::string_view text) {
  std::vector<std::string> links;
  text = text.substr(0, text.find('\0'));  // what was not written reads as zeros
  for (size_t start = 0, end = 0; end < text.size(); start = end + 1) {
    end = std::min(text.find(':', start), text.size());
    const std::string_view item = text.substr(start, end - start);
    if (!item.starts_with("l/") || !is_link(item.substr(2))) break;
    links.emplace_back(item.substr(2));
  }
  return links;
}

bool is_whole_lower(std::string_view text, const std::vector<std::string>& links) {
  return !links.empty() && end_of(links) == text.size() + 1;
}

std::string format_size(int64_t size) { return std::to_string(size) + "\n"; }

std::optional<int64_t> parse_size(std::string_view text) {
  if (!text.ends_with('\n')) return std::nullopt;
  text.remove_suffix(1);
  int64_t size = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
  if (error != std::errc() || end != text.data() + text.size() || size < 0) return std::nullopt;
  return size;
}

}  // namespace overlayd::layout
