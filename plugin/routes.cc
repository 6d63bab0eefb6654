// SPDX-License-Identifier: Apache-2.0
#include "plugin/routes.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <string_view>

#include "core/error.h"
#include "plugin/protocol.h"

namespace overlayd {
namespace {

// What the log says of one call.
struct Record {
  std::string_view endpoint;  // of the table below, so good for ever
  Log& log;
  std::string id = {};
  std::chrono::steady_clock::time_point begin = std::chrono::steady_clock::now();
};

// One call under way.
struct Call {
  Driver& driver;
  const HttpCall& http;
  Record record;
  int failure_status = 500;
};

std::string read_json(Call& call) {
  std::string text;
  std::array<char, 4096> buffer;
  while (const size_t count = call.http.body.read(std::as_writable_bytes(std::span(buffer)))) {
    if (text.size() + count > Routes::kMaxJson) {
      call.failure_status = 413;
      throw Error(ErrorKind::InvalidArgument, "request body is too large");
    }
    text.append(buffer.data(), count);
  }
  return text;
}

// `parse` makes the request; what it throws is told from the errors of the store by the endpoint's
// name.
template <typename Parse>
auto request_of(Call& call, Parse&& parse) {
  auto request = with_context(std::string(call.record.endpoint), parse);
  if constexpr (requires { request.id; }) call.record.id = request.id.str();
  return request;
}

template <auto Decode>
auto decode(Call& call) {
  return request_of(call, [&] { return Decode(read_json(call)); });
}

std::string describe(const Record& record, int status) {
  const std::chrono::duration<double, std::milli> time =
      std::chrono::steady_clock::now() - record.begin;
  std::array<char, 64> numbers;
  std::snprintf(numbers.data(), numbers.size(), " ms=%.3f status=%d", time.count(), status);
  std::string line(record.endpoint);
  if (!record.id.empty()) line += " id=" + quoted(record.id);
  return line + numbers.data();
}

void log_success(const Record& record) {
  if (record.log.enabled(LogLevel::Debug)) record.log.debug(describe(record, 200));
}

HttpReply failure(const Call& call, const std::string& cause) {
  call.record.log.error(describe(call.record, call.failure_status) + ": " + cause);
  return {.status = call.failure_status, .body = encode(ErrorReply{cause})};
}

// Runs `work`; the cause of a failure goes to `fail`, whose result is returned instead.
template <typename Work, typename Fail>
auto at_the_boundary(Work&& work, Fail&& fail) -> decltype(work()) {
  try {
    return work();
  } catch (const std::exception& error) {
    return fail(error.what());
  } catch (...) {
    return fail("unknown internal error");
  }
}

// Runs `work`, which sends; after an error of it the receiver must not believe it has everything.
template <typename Work>
bool send(const Record& record, const Work& work) {
  return at_the_boundary(
      [&] {
        work();
        return true;
      },
      [&](const std::string& cause) {
        record.log.error(describe(record, 200) + ", cut while sending: " + cause);
        return false;
      });
}

void send_content(LayerDiff& content, ByteSink& sink, const Record& record) {
  content.write_to(sink);
  log_success(record);
}

void send_changes(LayerChanges& changes, ByteSink& sink, const Record& record) {
  ChangesReply reply(sink);
  const std::string cause = at_the_boundary(
      [&] {
        changes.write_to([&](std::string_view path, ChangeKind kind) { reply.add(path, kind); });
        return std::string();
      },
      [](const std::string& what) { return what; });
  if (cause.empty()) {
    reply.finish();
    log_success(record);
  } else {
    reply.fail(cause);
    record.log.error(describe(record, 200) + ": " + cause);
  }
}

template <auto Method>
HttpReply plain(Call& call) {
  return {.body = encode((call.driver.*Method)())};
}

template <auto Decode, auto Method>
HttpReply json(Call& call) {
  return {.body = encode((call.driver.*Method)(decode<Decode>(call)))};
}

HttpReply init(Call& call) {
  const std::string text = read_json(call);
  if (text.empty())
    return {.body = encode(with_context(std::string(call.record.endpoint),
                                        [&] { return call.driver.repeat_init(); }))};
  return {.body = encode(call.driver.init(request_of(call, [&] { return decode_init(text); })))};
}

HttpReply apply_diff(Call& call) {
  const auto request = request_of(call, [&] { return decode_apply_query(call.http.query); });
  return {.body = encode(call.driver.apply_diff(request, call.http.body))};
}

// The content moves after this has returned. Shared, not owned, because std::function must be
// copyable.
HttpReply diff(Call& call) {
  const std::shared_ptr<LayerDiff> content = call.driver.diff(decode<decode_diff>(call));
  return {.stream =
              [content, record = call.record](ByteSink& sink) {
                return send(record, [&] { send_content(*content, sink, record); });
              },
          .stream_type = StreamType::Tar};
}

HttpReply changes(Call& call) {
  const std::shared_ptr<LayerChanges> found = call.driver.changes(decode<decode_diff>(call));
  return {.stream =
              [found, record = call.record](ByteSink& sink) {
                return send(record, [&] { send_changes(*found, sink, record); });
              },
          .stream_type = StreamType::Json};
}

struct Route {
  std::string_view path;
  HttpReply (*serve)(Call&);
};

constexpr std::array kRoutes{
    Route{"/GraphDriver.ApplyDiff", apply_diff},
    Route{"/GraphDriver.Capabilities", plain<&Driver::capabilities>},
    Route{"/GraphDriver.Changes", changes},
    Route{"/GraphDriver.Cleanup", plain<&Driver::cleanup>},
    Route{"/GraphDriver.Create", json<decode_create, &Driver::create>},
    Route{"/GraphDriver.CreateReadWrite", json<decode_create, &Driver::create>},
    Route{"/GraphDriver.Diff", diff},
    Route{"/GraphDriver.DiffSize", json<decode_diff, &Driver::diff_size>},
    Route{"/GraphDriver.Exists", json<decode_layer, &Driver::exists>},
    Route{"/GraphDriver.Get", json<decode_get, &Driver::get>},
    Route{"/GraphDriver.GetMetadata", json<decode_layer, &Driver::metadata>},
    Route{"/GraphDriver.Init", init},
    Route{"/GraphDriver.Put", json<decode_layer, &Driver::put>},
    Route{"/GraphDriver.Remove", json<decode_layer, &Driver::remove>},
    Route{"/GraphDriver.Status", plain<&Driver::status>},
    Route{"/Plugin.Activate", plain<&Driver::activate>},
};
static_assert(std::ranges::is_sorted(kRoutes, {}, &Route::path));

const Route* find_route(const HttpCall& call) {
  if (call.method != "POST") return nullptr;
  const auto found = std::ranges::lower_bound(kRoutes, call.path, {}, &Route::path);
  return found != kRoutes.end() && found->path == call.path ? &*found : nullptr;
}

HttpReply not_found(const HttpCall& call) {
  return {.status = 404,
          .body = encode(ErrorReply{"no such endpoint: " + std::string(call.method) + " " +
                                    quoted(call.path)})};
}

}  // namespace

HttpReply Routes::handle(const HttpCall& http) const noexcept {
  const Route* route = find_route(http);
  if (route == nullptr) return not_found(http);
  Call call{
      .driver = driver_, .http = http, .record = {.endpoint = route->path.substr(1), .log = log_}};
  return at_the_boundary(
      [&] {
        HttpReply reply = route->serve(call);
        if (!reply.stream) log_success(call.record);
        return reply;
      },
      [&](const std::string& cause) { return failure(call, cause); });
}

}  // namespace overlayd
