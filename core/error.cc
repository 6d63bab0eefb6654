// SPDX-License-Identifier: Apache-2.0
#include "core/error.h"

#include <cerrno>
#include <system_error>

namespace overlayd {

std::string_view to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::NotFound: return "not-found";
    case ErrorKind::AlreadyExists: return "already-exists";
    case ErrorKind::Busy: return "busy";
    case ErrorKind::InvalidArgument: return "invalid-argument";
    case ErrorKind::BadArchive: return "bad-archive";
    case ErrorKind::NoSpace: return "no-space";
    case ErrorKind::Unsupported: return "unsupported";
    case ErrorKind::Corrupt: return "corrupt";
    case ErrorKind::Aborted: return "aborted";
    case ErrorKind::Internal: return "internal";
  }
  return "internal";
}

ErrorKind kind_of_errno(int errnum) noexcept {
  switch (errnum) {
    case ENOENT: return ErrorKind::NotFound;
    case EEXIST: return ErrorKind::AlreadyExists;
    case EBUSY: return ErrorKind::Busy;
    case ENOSPC:
    case EDQUOT: return ErrorKind::NoSpace;
    case ENOSYS:
    case EOPNOTSUPP: return ErrorKind::Unsupported;
    default: return ErrorKind::Internal;
  }
}

bool tells_of_want(int errnum) noexcept {
  switch (errnum) {
    case EAGAIN:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOSPC:
    case EDQUOT: return true;
    default: return false;
  }
}

SysError::SysError(int errnum, const std::string& message)
    // generic_category().message is thread-safe where strerror is not.
    : Error(kind_of_errno(errnum), message + ": " + std::generic_category().message(errnum)),
      errnum_(errnum) {}

void throw_errno(const char* act, std::string_view object) {
  throw_errno([&] { return std::string(act) + " " + quoted(object); });
}

namespace {

// Sets a message without repeating the errno text that the original already carries.
class ContextualSysError : public SysError {
 public:
  ContextualSysError(const std::string& context, const SysError& inner)
      : SysError(inner), message_(context + ": " + inner.what()) {}
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  std::string message_;
};

// One UTF-8 sequence of printable text at the start of `text`: its length, or 0.
size_t printable_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return first >= 0x20 && first != 0x7f ? 1 : 0;
  const size_t length = first >= 0xf0 && first <= 0xf4   ? 4
                        : first >= 0xe0 && first <= 0xef ? 3
                        : first >= 0xc2 && first <= 0xdf ? 2
                                                         : 0;
  if (length == 0 || text.size() < length) return 0;
  // Overlong forms, surrogates, and what is behind the last code point.
  const unsigned char low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  const unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  if (byte(1) < low || byte(1) > high) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  return length == 2 && first == 0xc2 && byte(1) < 0xa0 ? 0 : length;  // C1 controls
}

}  // namespace

std::string printable(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (size_t i = 0; i < text.size();) {
    if (const size_t length = printable_length(text.substr(i)); length > 0) {
      out.append(text, i, length);
      i += length;
      continue;
    }
    const auto byte = static_cast<unsigned char>(text[i++]);
    out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
  }
  return out;
}

std::string quoted(std::string_view text) {
  // A path of PATH_MAX would drown the rest of a message; both ends of a name tell most.
  constexpr size_t kHalf = 160;
  if (text.size() <= 2 * kHalf) return "'" + printable(text) + "'";
  return "'" + printable(text.substr(0, kHalf)) + "…" +
         printable(text.substr(text.size() - kHalf)) + "'";
}

namespace detail {

int current_errno() noexcept { return errno; }

void rethrow_with_context(const std::string& context) {
  try {
    throw;
  } catch (const SysError& error) {
    throw ContextualSysError(context, error);
  } catch (const Error& error) {
    throw Error(error.kind(), context + ": " + error.what());
  }
}

}  // namespace detail
}  // namespace overlayd
