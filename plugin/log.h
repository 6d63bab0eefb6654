// SPDX-License-Identifier: Apache-2.0
//
// Log: lines on stderr, one event each: time in UTC, level, text; or an object of JSON. A journal
// has the time already, and gets the level as sd-daemon(3) has it. Callers put what they got from
// outside through quoted() (core/error.h), so that no name can break or forge a line.
//
// Threads: any.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "plugin/log_line.h"

namespace overlayd {

enum class LogLevel { Debug, Info, Warning, Error, Off };

/// "debug", "info", "warning", "error", "off".
std::optional<LogLevel> parse_log_level(std::string_view text);

enum class LogFormat { Text, Json };

/// "text", "json".
std::optional<LogFormat> parse_log_format(std::string_view text);

/// What stderr is.
enum class LogTarget { Stream, Journal };

class Log {
 public:
  explicit Log(LogLevel level, LogFormat format = LogFormat::Text,
               LogTarget target = LogTarget::Stream);
  ~Log();

  /// Worth asking before building an expensive message.
  bool enabled(LogLevel level) const noexcept;
  void write(LogLevel level, std::string_view text) noexcept;
  void call(LogLevel level, const CallLine& call) noexcept;

  void debug(std::string_view text) noexcept { write(LogLevel::Debug, text); }
  void info(std::string_view text) noexcept { write(LogLevel::Info, text); }
  void warning(std::string_view text) noexcept { write(LogLevel::Warning, text); }
  void error(std::string_view text) noexcept { write(LogLevel::Error, text); }

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace overlayd
