// SPDX-License-Identifier: Apache-2.0
#include "plugin/log.h"

#include <syslog.h>

#include <exception>
#include <string>
#include <utility>

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

// "<3>" for an error: syslog(3)'s numbers, which sd-daemon(3) takes in front of a line.
class Priority final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& line) override {
    const std::string text = "<" + std::to_string(number_of(message.level)) + ">";
    line.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<Priority>();
  }

 private:
  static int number_of(spdlog::level::level_enum level) {
    switch (level) {
      case spdlog::level::debug: return LOG_DEBUG;
      case spdlog::level::info: return LOG_INFO;
      case spdlog::level::warn: return LOG_WARNING;
      default: return LOG_ERR;
    }
  }
};

// spdlog's flags, and '*' for the priority.
const char* pattern_of(LogFormat format, LogTarget target) {
  const bool is_journal = target == LogTarget::Journal;
  if (format == LogFormat::Json) {
    return is_journal ? R"(%*{"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})"
                      : R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})";
  }
  return is_journal ? "%*%l: %v" : "%Y-%m-%dT%H:%M:%S.%eZ %l: %v";
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
  Impl(LogLevel level, LogFormat the_format, LogTarget target)
      : format(the_format), logger("overlayd", std::make_shared<spdlog::sinks::stderr_sink_mt>()) {
    auto formatter = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
    formatter->add_flag<Priority>('*').set_pattern(pattern_of(format, target));
    logger.set_formatter(std::move(formatter));
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

Log::Log(LogLevel level, LogFormat format, LogTarget target)
    : impl_(std::make_unique<Impl>(level, format, target)) {}
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
