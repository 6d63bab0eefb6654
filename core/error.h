// SPDX-License-Identifier: Apache-2.0
//
// The one error model of overlayd: exceptions. `Error` carries what a caller can act on (its kind)
// and a finished sentence for people; `SysError` adds the errno. Thread rule: plain values.
//
// Messages name the act and the object ("mount overlay on '/…/merged': Device or resource busy"):
// lower case, no final period, paths and ids in single quotes.
#pragma once

#include <concepts>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace overlayd {

/// What a caller can do about an error.
enum class ErrorKind {
  NotFound,         ///< the layer, parent or file is not there
  AlreadyExists,    ///< the id is taken
  Busy,             ///< a state in the way that may pass: mounted, has children, being filled
  InvalidArgument,  ///< the request itself is wrong
  BadArchive,       ///< the tar stream is damaged, hostile or unsupported
  NoSpace,          ///< disk or quota is full
  Unsupported,      ///< this kernel, file system or version cannot do it
  Corrupt,          ///< what is on disk contradicts itself
  Aborted,          ///< the other end went away, or overlayd is stopping
  Internal,         ///< everything else, mostly failing system calls
};

/// Stable lower-case word for logs and tests, for example "not-found".
std::string_view to_string(ErrorKind kind);

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const noexcept { return kind_; }

 private:
  ErrorKind kind_;
};

/// A failed system call. what() is "<message>: <strerror(errnum)>".
class SysError : public Error {
 public:
  SysError(int errnum, const std::string& message);
  int errnum() const noexcept { return errnum_; }

 private:
  int errnum_;
};

/// The only place that maps an errno to a kind.
ErrorKind kind_of_errno(int errnum) noexcept;

/// Whether an errno tells of what there is too little of just now (descriptors, memory, threads,
/// space), and nothing about the file or the kernel that was asked.
bool tells_of_want(int errnum) noexcept;

/// Captures errno before anything else runs, then throws SysError(errno, format(...)). The message
/// is built by a callable so that building it cannot disturb errno:
///   if (fd < 0) throw_errno([&] { return "open '" + path + "'"; });
template <std::invocable F>
[[noreturn]] void throw_errno(F&& message);
[[noreturn]] void throw_errno(const char* act, std::string_view object);

/// Runs `work`; an Error leaving it gets "<context>: " put before its message, kind and errno kept.
template <std::invocable F>
decltype(auto) with_context(const std::string& context, F&& work);
/// The same, with the context made only when it is needed.
template <std::invocable Context, std::invocable F>
decltype(auto) with_context(Context&& context, F&& work);

/// `text` with control characters and non-UTF-8 bytes shown as \xNN, for terminals and tables.
std::string printable(std::string_view text);

/// 'text' in single quotes, control characters and non-UTF-8 bytes shown as \xNN, so that a hostile
/// name cannot forge a log line. Long text is cut in the middle.
std::string quoted(std::string_view text);
/// So that argument-dependent lookup of a std::string does not end at std::quoted.
inline std::string quoted(const std::string& text) { return quoted(std::string_view(text)); }
inline std::string quoted(std::string& text) { return quoted(std::string_view(text)); }
inline std::string quoted(const char* text) { return quoted(std::string_view(text)); }

// ---------------------------------------------------------------------------------------------------

namespace detail {
[[noreturn]] void rethrow_with_context(const std::string& context);
int current_errno() noexcept;
}  // namespace detail

template <std::invocable F>
[[noreturn]] void throw_errno(F&& message) {
  const int errnum = detail::current_errno();
  throw SysError(errnum, std::forward<F>(message)());
}

template <std::invocable F>
decltype(auto) with_context(const std::string& context, F&& work) {
  try {
    return std::forward<F>(work)();
  } catch (const Error&) {
    detail::rethrow_with_context(context);
  }
}

template <std::invocable Context, std::invocable F>
decltype(auto) with_context(Context&& context, F&& work) {
  try {
    return std::forward<F>(work)();
  } catch (const Error&) {
    detail::rethrow_with_context(std::forward<Context>(context)());
  }
}

}  // namespace overlayd
