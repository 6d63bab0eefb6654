// SPDX-License-Identifier: Apache-2.0
#include "plugin/json_text.h"

#include <utility>

#include <nlohmann/json.hpp>

namespace overlayd {
namespace {

using Json = nlohmann::json;

/// A string of the text, with its quotes.
struct Place {
  size_t begin, end;
};

/// Walks over text that is known to be JSON.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  // The last one counts, as for those who read it.
  std::optional<Place> find_member(std::string_view key) {
    std::optional<Place> found;
    int depth = 0;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"') {
        const Place string = skip_string();
        const bool is_key = depth == 1 && skip_colon();
        if (!is_key || text_.substr(string.begin + 1, key.size() + 1) != std::string(key) + '"')
          continue;
        found.reset();
        if (text_[at_] == '"') found = skip_string();
        continue;
      }
      if (c == '{' || c == '[') ++depth;
      if (c == '}' || c == ']') --depth;
      ++at_;
    }
    return found;
  }

 private:
  Place skip_string() {
    const size_t begin = at_++;
    while (text_[at_] != '"') at_ += text_[at_] == '\\' ? size_t{2} : size_t{1};
    return {begin, ++at_};
  }

  // Goes to what is behind it. Only members have one behind a string.
  bool skip_colon() {
    constexpr std::string_view kSpace = " \t\r\n";
    const size_t colon = text_.find_first_not_of(kSpace, at_);
    if (colon == std::string_view::npos || text_[colon] != ':') return false;
    at_ = text_.find_first_not_of(kSpace, colon + 1);
    return true;
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

std::optional<std::string> with_string_member(const std::string& text, std::string_view key,
                                              const std::string& value) {
  Json wanted = Json::parse(text, nullptr, false);
  if (!wanted.is_object()) return std::nullopt;
  const auto place = Scanner(text).find_member(key);
  if (!place) return std::nullopt;
  std::string changed = text;
  changed.replace(place->begin, place->end - place->begin, Json(value).dump());
  wanted[std::string(key)] = value;
  if (Json::parse(changed, nullptr, false) != wanted) return std::nullopt;
  return changed;
}

}  // namespace overlayd
