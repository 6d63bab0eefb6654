// SPDX-License-Identifier: Apache-2.0
//
// Log: lines on stderr, one event each: time in UTC, level, text. Callers put what they got from
// outside through quoted() (core/error.h), so that no name can break or forge a line.
//
// Threads: any.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "core/observer.h"

namespace overlayd {

enum class LogLevel { Debug, Info, Warning, Error, Off };

/// "debug", "info", "warning", "error", "off".
std::optional<LogLevel> parse_log_level(std::string_view text);

class Log {
 public:
  explicit Log(LogLevel level);
  ~Log();

  /// Worth asking before building an expensive message.
  bool enabled(LogLevel level) const noexcept;
  void write(LogLevel level, std::string_view text) noexcept;

  void debug(std::string_view text) noexcept { write(LogLevel::Debug, text); }
  void info(std::string_view text) noexcept { write(LogLevel::Info, text); }
  void warning(std::string_view text) noexcept { write(LogLevel::Warning, text); }
  void error(std::string_view text) noexcept { write(LogLevel::Error, text); }

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Puts core's notes into the log.
class LogObserver final : public Observer {
 public:
  explicit LogObserver(Log& log) : log_(log) {}
  void note(NoteLevel level, const std::string& message) noexcept override;

 private:
  Log& log_;
};

}  // namespace overlayd
