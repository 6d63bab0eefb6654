// SPDX-License-Identifier: Apache-2.0
#include "core/store_options.h"

#include <algorithm>
#include <cctype>
#include <string_view>

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

[[noreturn]] void refuse_quota(const std::string& option) {
  throw Error(ErrorKind::Unsupported, "option " + quoted(option) + ": overlayd has no quotas yet");
}

}  // namespace

StoreOptions parse_store_options(const std::vector<std::string>& options) {
  for (const std::string& option : options) {
    const size_t equals = option.find('=');
    if (equals == std::string::npos) {
      throw Error(ErrorKind::InvalidArgument,
                  "option " + quoted(option) + " is not of the form key=value");
    }
    const std::string key = trimmed_lower(std::string_view(option).substr(0, equals));
    const std::string value = trimmed_lower(std::string_view(option).substr(equals + 1));
    if (key == "overlay2.size" || key == "overlayd.size") refuse_quota(option);
    if (key != "overlay2.override_kernel_check") {
      throw Error(ErrorKind::InvalidArgument, "option " + quoted(key) + " is unknown");
    }
    if (!is_bool(value)) {
      throw Error(ErrorKind::InvalidArgument, "option " + quoted(option) + ": not true or false");
    }
  }
  return {};
}

void check_create_options(const CreateOptions& options) {
  for (const auto& [key, value] : options.storage_options) {
    if (trimmed_lower(key) == "size") refuse_quota(key + "=" + value);
    throw Error(ErrorKind::InvalidArgument, "storage option " + quoted(key) + " is unknown");
  }
}

}  // namespace overlayd
