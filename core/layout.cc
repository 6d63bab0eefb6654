// SPDX-License-Identifier: Apache-2.0
#include "core/layout.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "core/error.h"
#include "core/sys.h"

namespace overlayd::layout {
namespace {

constexpr std::string_view kBase32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
constexpr std::string_view kTargetStart = "../";
constexpr std::string_view kTargetEnd = "/diff";

constexpr size_t kPathLength = kLinkLength + 2;  // of link_path()

constexpr std::array<bool, 256> kIsBase32 = [] {
  std::array<bool, 256> is_base32{};
  for (const char character : kBase32) is_base32[static_cast<unsigned char>(character)] = true;
  return is_base32;
}();

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
  return text.size() == kLinkLength && std::ranges::all_of(text, [](char character) {
           return kIsBase32[static_cast<unsigned char>(character)];
         });
}

std::string link_path(std::string_view link) {
  std::string path(kLinkDirectory);
  (path += '/') += link;
  return path;
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
  std::string_view front = front_of_lower(text);
  if (front.size() < text.size()) {
    const std::string_view rest = text.substr(front.empty() ? 0 : front.size() + 1);
    throw Error(
        ErrorKind::Corrupt,
        "the 'lower' file names " + quoted(rest.substr(0, rest.find(':'))) + ", which is no link");
  }
  std::vector<std::string> links;
  for (; !front.empty(); front.remove_prefix(std::min(front.size(), kPathLength + 1))) {
    links.emplace_back(first_of_lower(front));
  }
  return links;
}

std::string_view front_of_lower(std::string_view text) {
  text = text.substr(0, text.find('\0'));  // what was not written reads as zeros
  size_t end = 0;                          // of the last one
  for (size_t begin = 0; begin < text.size(); begin = end + 1) {
    const std::string_view item = text.substr(begin, kPathLength + 1);
    const bool is_apart = item.size() == kPathLength || item.ends_with(':');
    if (!is_apart || !item.starts_with("l/") || !is_link(first_of_lower(item))) break;
    end = begin + kPathLength;
  }
  return text.substr(0, end);
}

bool is_whole_lower(std::string_view text) {
  return !text.empty() && front_of_lower(text).size() == text.size();
}

std::string_view first_of_lower(std::string_view text) {
  return text.empty() ? text : text.substr(2, kLinkLength);
}

std::string lower_on(std::string_view link, std::string_view lower) {
  std::string text = link_path(link);
  if (!lower.empty()) (text += ':') += lower;
  return text;
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
