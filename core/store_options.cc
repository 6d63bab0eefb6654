// SPDX-License-Identifier: Apache-2.0
#include "core/store_options.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <system_error>

#include "core/error.h"

namespace overlayd {
namespace {

std::string trimmed_lower(std::string_view text) {
  const auto is_space = [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

bool is_bool(const std::string& text) {
  static constexpr std::string_view kBools[] = {"1", "t", "true", "0", "f", "false"};
  return std::find(std::begin(kBools), std::end(kBools), text) != std::end(kBools);
}

[[noreturn]] void refuse(const std::string& what) { throw Error(ErrorKind::InvalidArgument, what); }

/// Digits and nothing else.
template <typename Number>
std::optional<Number> number_in(std::string_view text) {
  Number number{};
  const char* const end = text.data() + text.size();
  if (text.empty() || std::isdigit(static_cast<unsigned char>(text.front())) == 0) return {};
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || rest != end) return std::nullopt;
  return number;
}

uint64_t parse_inodes(const std::string& text) {
  if (const auto number = number_in<uint64_t>(text)) return *number;
  refuse(quoted(text) + " is not a number of files");
}

ProjectRange parse_projects(const std::string& text) {
  const size_t dash = std::min(text.find('-'), text.size());
  const auto first = number_in<ProjectId>(std::string_view(text).substr(0, dash));
  const auto last =
      number_in<ProjectId>(std::string_view(text).substr(std::min(dash + 1, text.size())));
  // 0 is what everything has that is in no project; the largest is the kernel's for "none".
  const bool is_range = first && last && *first > 0 && *first <= *last &&
                        *last < std::numeric_limits<ProjectId>::max();
  if (!is_range) refuse(quoted(text) + " is not FIRST-LAST, of numbers from 1 to 4294967294");
  return {.first = *first, .last = *last};
}

uint64_t unit_of(char letter) {
  static constexpr std::string_view kLetters = "kmgtp";
  return uint64_t{1} << (10 * (kLetters.find(letter) + 1));
}

/// Takes the unit off the end of `text`.
uint64_t take_unit(std::string_view& text) {
  if (text.ends_with('b')) text.remove_suffix(1);
  if (text.ends_with('i')) text.remove_suffix(1);
  uint64_t unit = 1;
  if (!text.empty() && std::string_view("kmgtp").find(text.back()) != std::string_view::npos) {
    unit = unit_of(text.back());
    text.remove_suffix(1);
  }
  if (text.ends_with(' ')) text.remove_suffix(1);
  return unit;
}

/// `take` puts a value, in lower case, into what is parsed, or throws.
template <typename Parsed>
struct KnownOption {
  OptionNote note;
  void (*take)(const std::string& value, Parsed& out);
};

void take_size(const std::string& value, StoreOptions& out) {
  out.limits.bytes = parse_size(value);
}

constexpr KnownOption<StoreOptions> kStoreOptions[] = {
    {{"overlayd.size", "SIZE", "0",
      "how much of the disk a container may take that has no `size` of its own; 0: all"},
     take_size},
    {{"overlay2.size", "SIZE", "0", "the same, as Docker's own driver calls it"}, take_size},
    {{"overlayd.inodes", "NUMBER", "0",
      "how many files a container may have that has no `inodes` of its own; 0: any number"},
     [](const std::string& value, StoreOptions& out) { out.limits.inodes = parse_inodes(value); }},
    {{"overlayd.project_ids", "FIRST-LAST", "2097152-3145727",
      "the project ids that limited layers may get"},
     [](const std::string& value, StoreOptions& out) { out.projects = parse_projects(value); }},
    {{"overlay2.override_kernel_check", "BOOL", "", "nothing: Docker kept it and ignores it"},
     [](const std::string& value, StoreOptions&) {
       if (!is_bool(value)) refuse("not true or false");
     }},
};

constexpr KnownOption<QuotaLimits> kCreateOptions[] = {
    {{"size", "SIZE", "overlayd.size", "how much of the disk the container may take"},
     [](const std::string& value, QuotaLimits& out) { out.bytes = parse_size(value); }},
    {{"inodes", "NUMBER", "overlayd.inodes", "how many files the container may have"},
     [](const std::string& value, QuotaLimits& out) { out.inodes = parse_inodes(value); }},
};

/// Throws unless it is one of the table's. `what` it is, for the message.
template <typename Parsed, size_t N>
const KnownOption<Parsed>& find(const KnownOption<Parsed> (&table)[N], const char* what,
                                const std::string& key) {
  const auto* const found =
      std::ranges::find(table, trimmed_lower(key), [](const auto& row) { return row.note.key; });
  if (found == std::end(table)) refuse(std::string(what) + " " + quoted(key) + " is unknown");
  return *found;
}

template <typename Parsed, size_t N>
std::vector<OptionNote> notes(const KnownOption<Parsed> (&table)[N]) {
  std::vector<OptionNote> all;
  for (const auto& row : table) all.push_back(row.note);
  return all;
}

}  // namespace

uint64_t parse_size(std::string_view text) {
  const std::string lower = trimmed_lower(text);
  std::string_view rest = lower;
  const uint64_t unit = take_unit(rest);
  const auto whole = number_in<uint64_t>(rest);
  // A number of more bytes than 2^53 is exact only without a fraction.
  if (whole && *whole <= std::numeric_limits<int64_t>::max() / unit) return *whole * unit;
  const bool is_plain = rest.find_first_not_of("0123456789.") == std::string_view::npos;
  const auto fraction = is_plain ? number_in<double>(rest) : std::nullopt;
  if (!fraction) refuse(quoted(text) + " is not a size, such as 10G or 512m");
  const double bytes = *fraction * static_cast<double>(unit);
  if (bytes >= 9223372036854775808.0) refuse(quoted(text) + " is more than any disk holds");
  return static_cast<uint64_t>(std::ceil(bytes));  // no limit is asked for by 0 alone
}

StoreOptions parse_store_options(const std::vector<std::string>& options) {
  StoreOptions out;
  for (const std::string& option : options) {
    const size_t equals = option.find('=');
    if (equals == std::string::npos) {
      refuse("option " + quoted(option) + " is not of the form key=value");
    }
    const auto& known = find(kStoreOptions, "option", trimmed_lower(option.substr(0, equals)));
    const std::string value = trimmed_lower(option.substr(equals + 1));
    with_context("option " + quoted(option), [&] { known.take(value, out); });
  }
  return out;
}

QuotaLimits parse_create_options(const CreateOptions& options, const StoreOptions& store) {
  QuotaLimits limits = options.is_writable ? store.limits : QuotaLimits{};
  for (const auto& option : options.storage_options) {
    const std::string& value = option.second;
    const auto& known = find(kCreateOptions, "storage option", option.first);
    with_context("storage option " + quoted(option.first + "=" + value), [&] {
      if (!options.is_writable) refuse("only a container's layer can be limited");
      known.take(trimmed_lower(value), limits);
    });
  }
  return limits;
}

std::vector<OptionNote> store_option_notes() { return notes(kStoreOptions); }

std::vector<OptionNote> create_option_notes() { return notes(kCreateOptions); }

}  // namespace overlayd
