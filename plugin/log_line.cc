// SPDX-License-Identifier: Apache-2.0
#include "plugin/log_line.h"

#include <array>
#include <cmath>
#include <cstdio>

#include <nlohmann/json.hpp>

#include "core/error.h"

namespace overlayd {
namespace {

using Json = nlohmann::ordered_json;

double milliseconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

const char* message_of(CallEnd end) {
  switch (end) {
    case CallEnd::Served: return "call served";
    case CallEnd::Failed: return "call failed";
    case CallEnd::Cut: return "call cut while sending";
  }
  return "call";
}

std::string members(const Json& object) {
  const std::string text = object.dump(-1, ' ', false, Json::error_handler_t::replace);
  return text.substr(1, text.size() - 2);
}

}  // namespace

std::string as_text(const CallLine& call) {
  std::array<char, 64> numbers;
  std::snprintf(numbers.data(), numbers.size(), " ms=%.3f status=%d", milliseconds(call.time),
                call.status);
  std::string line(call.endpoint);
  if (!call.id.empty()) line += " id=" + quoted(call.id);
  line += numbers.data();
  if (call.end == CallEnd::Cut) line += ", cut while sending";
  if (call.end != CallEnd::Served) line += ": " + std::string(call.error);
  return line;
}

std::string as_json(const CallLine& call) {
  Json object{{"message", message_of(call.end)}, {"endpoint", call.endpoint}};
  if (!call.id.empty()) object["id"] = call.id;
  object["ms"] = std::round(milliseconds(call.time) * 1000) / 1000;
  object["status"] = call.status;
  if (call.end != CallEnd::Served) object["error"] = call.error;
  return members(object);
}

std::string as_json(std::string_view message) { return members(Json{{"message", message}}); }

}  // namespace overlayd
