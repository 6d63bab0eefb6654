// SPDX-License-Identifier: Apache-2.0
#include "plugin/log.h"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

namespace overlayd {
namespace {

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::Debug: return spdlog::level::debug;
    case LogLevel::Info: return spdlog::level::info;
    case LogLevel::Warning: return spdlog::level::warn;
    case LogLevel::Error: return spdlog::level::err;
    case LogLevel::Off: return spdlog::level::off;
  }
  return spdlog::level::off;
}

}  // namespace

std::optional<LogLevel> parse_log_level(std::string_view text) {
  if (text == "debug") return LogLevel::Debug;
  if (text == "info") return LogLevel::Info;
  if (text == "warning") return LogLevel::Warning;
  if (text == "error") return LogLevel::Error;
  if (text == "off") return LogLevel::Off;
  return std::nullopt;
}

struct Log::Impl {
  explicit Impl(LogLevel level)
      : logger("overlayd", std::make_shared<spdlog::sinks::stderr_sink_mt>()) {
    logger.set_formatter(std::make_unique<spdlog::pattern_formatter>(
        "%Y-%m-%dT%H:%M:%S.%eZ %l: %v", spdlog::pattern_time_type::utc));
    logger.set_level(to_spdlog(level));
  }

  spdlog::logger logger;
};

Log::Log(LogLevel level) : impl_(std::make_unique<Impl>(level)) {}
Log::~Log() = default;

bool Log::enabled(LogLevel level) const noexcept {
  return impl_->logger.should_log(to_spdlog(level));
}

void Log::write(LogLevel level, std::string_view text) noexcept {
  impl_->logger.log(to_spdlog(level), spdlog::string_view_t(text.data(), text.size()));
}

void LogObserver::note(NoteLevel level, const std::string& message) noexcept {
  log_.write(level == NoteLevel::Warning ? LogLevel::Warning : LogLevel::Info, message);
}

}  // namespace overlayd
