// SPDX-License-Identifier: Apache-2.0
#include "plugin/log.h"

#include <exception>
#include <string>

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

std::optional<LogFormat> parse_log_format(std::string_view text) {
  if (text == "text") return LogFormat::Text;
  if (text == "json") return LogFormat::Json;
  return std::nullopt;
}

struct Log::Impl {
  Impl(LogLevel level, LogFormat the_format)
      : format(the_format), logger("overlayd", std::make_shared<spdlog::sinks::stderr_sink_mt>()) {
    logger.set_formatter(std::make_unique<spdlog::pattern_formatter>(
        format == LogFormat::Json ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})"
                                  : "%Y-%m-%dT%H:%M:%S.%eZ %l: %v",
        spdlog::pattern_time_type::utc));
    logger.set_level(to_spdlog(level));
  }

  // `make` gives the text or the members of the JSON object. Out of memory, the line is lost: a
  // log is no reason to end.
  template <typename Make>
  void write(LogLevel level, const Make& make) noexcept {
    if (!logger.should_log(to_spdlog(level))) return;
    try {
      logger.log(to_spdlog(level), spdlog::string_view_t(make()));
    } catch (const std::exception&) {
    }
  }

  const LogFormat format;
  spdlog::logger logger;
};

Log::Log(LogLevel level, LogFormat format) : impl_(std::make_unique<Impl>(level, format)) {}
Log::~Log() = default;

bool Log::enabled(LogLevel level) const noexcept {
  return impl_->logger.should_log(to_spdlog(level));
}

void Log::write(LogLevel level, std::string_view text) noexcept {
  impl_->write(
      level, [&] { return impl_->format == LogFormat::Json ? as_json(text) : std::string(text); });
}

void Log::call(LogLevel level, const CallLine& call) noexcept {
  impl_->write(level,
               [&] { return impl_->format == LogFormat::Json ? as_json(call) : as_text(call); });
}

}  // namespace overlayd
