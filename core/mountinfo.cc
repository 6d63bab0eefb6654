// SPDX-License-Identifier: Apache-2.0
#include "core/mountinfo.h"

#include <fcntl.h>

#include <charconv>
#include <optional>

#include "core/error.h"
#include "core/sys.h"

namespace overlayd {
namespace {

// Takes the text up to the next separator off the front; nullopt when nothing is left. Two
// separators in a row enclose an empty field, which is how a mount with an empty source looks.
class Fields {
 public:
  Fields(std::string_view text, char separator) : rest_(text), separator_(separator) {}

  std::optional<std::string_view> next() {
    if (done_) return std::nullopt;
    const size_t end = rest_.find(separator_);
    const std::string_view field = rest_.substr(0, end);
    done_ = end == std::string_view::npos;
    if (!done_) rest_.remove_prefix(end + 1);
    return field;
  }

 private:
  std::string_view rest_;
  char separator_;
  bool done_ = false;
};

[[noreturn]] void throw_nonsense(std::string_view line) {
  throw Error(ErrorKind::Corrupt, "not a line of mountinfo: " + quoted(line));
}

template <typename Number>
bool parse_number(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

bool is_octal(char c) { return c >= '0' && c <= '7'; }

// The kernel writes space, tab, newline and backslash (and '#' of a source) as \ooo.
std::string unescape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const std::string_view code = text.substr(i, 4);
    if (code.size() == 4 && code[0] == '\\' && code[1] <= '3' && is_octal(code[1]) &&
        is_octal(code[2]) && is_octal(code[3])) {
      out += static_cast<char>((code[1] - '0') * 64 + (code[2] - '0') * 8 + (code[3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

void parse_device(std::string_view line, std::string_view text, MountEntry& entry) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos || !parse_number(text.substr(0, colon), entry.major) ||
      !parse_number(text.substr(colon + 1), entry.minor)) {
    throw_nonsense(line);
  }
}

MountEntry parse_line(std::string_view line) {
  Fields fields(line, ' ');
  const auto next = [&] {
    const auto field = fields.next();
    if (!field) throw_nonsense(line);
    return *field;
  };
  MountEntry entry;
  if (!parse_number(next(), entry.id) || !parse_number(next(), entry.parent)) throw_nonsense(line);
  parse_device(line, next(), entry);
  entry.root = unescape(next());
  entry.mount_point = unescape(next());
  entry.mount_options = next();
  for (std::string_view field = next(); field != "-"; field = next()) {
    entry.optional_fields.emplace_back(field);
  }
  entry.fs_type = unescape(next());
  entry.source = unescape(next());
  entry.super_options = unescape(next());
  if (entry.root.empty() || entry.mount_point.empty()) throw_nonsense(line);
  return entry;
}

}  // namespace

std::vector<MountEntry> parse_mountinfo(std::string_view text) {
  std::vector<MountEntry> entries;
  Fields lines(text, '\n');
  while (const auto line = lines.next()) {
    if (!line->empty()) entries.push_back(parse_line(*line));
  }
  return entries;
}

std::vector<MountEntry> read_mountinfo(const std::string& process) {
  const UniqueFd fd = sys::openat(AT_FDCWD, process + "/mountinfo", O_RDONLY);
  std::string text;
  // One open file and one position: the kernel walks its list with a cursor, so that nothing is
  // seen twice. Files of proc(5) report no size.
  for (size_t length = 0;;) {
    text.resize(length + 64 * size_t{1024});
    const size_t count = with_context("read the mount table", [&] {
      return sys::read_full(fd.get(), std::as_writable_bytes(std::span(text).subspan(length)));
    });
    length += count;
    if (length < text.size()) {
      text.resize(length);
      return parse_mountinfo(text);
    }
  }
}

}  // namespace overlayd
