// SPDX-License-Identifier: Apache-2.0
#include "plugin/routes.h"

#include <algorithm>
#include <array>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/error.h"
#include "plugin/call_record.h"
#include "plugin/protocol.h"

namespace overlayd {
namespace {

// One call under way.
struct Call {
  Driver& driver;
  Metrics& metrics;
  const HttpCall& http;
  CallRecord record;
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
  auto request = with_context(call.record.endpoint(), parse);
  if constexpr (requires { request.id; }) call.record.set_id(request.id.str());
  return request;
}

template <auto Decode>
auto decode(Call& call) {
  return request_of(call, [&] { return Decode(read_json(call)); });
}

HttpReply failure(const Call& call, const Failure& why) {
  call.record.failed(call.failure_status, why);
  return {.status = call.failure_status, .body = encode(ErrorReply{why.cause})};
}

// Runs `work`; why it failed goes to `fail`, whose result is returned instead.
template <typename Work, typename Fail>
auto at_the_boundary(Work&& work, Fail&& fail) -> decltype(work()) {
  try {
    return work();
  } catch (const Error& error) {
    return fail(Failure{error.what(), error.kind()});
  } catch (const std::exception& error) {
    return fail(Failure{error.what()});
  } catch (...) {
    return fail(Failure{"unknown internal error"});
  }
}

// Runs `work`, which sends; after an error of it the receiver must not believe it has everything.
template <typename Work>
bool send(const CallRecord& record, const Work& work) {
  return at_the_boundary(
      [&] {
        work();
        return true;
      },
      [&](const Failure& why) {
        record.cut(why);
        return false;
      });
}

class CountedSource final : public ByteSource {
 public:
  CountedSource(ByteSource& source, Metrics& metrics) : source_(source), metrics_(metrics) {}
  size_t read(std::span<std::byte> buffer) override {
    const size_t count = source_.read(buffer);
    metrics_.count_received(count);
    return count;
  }

 private:
  ByteSource& source_;
  Metrics& metrics_;
};

class CountedSink final : public ByteSink {
 public:
  CountedSink(ByteSink& sink, Metrics& metrics) : sink_(sink), metrics_(metrics) {}
  void write(std::span<const std::byte> bytes) override {
    sink_.write(bytes);
    metrics_.count_sent(bytes.size());
  }
  void write_file(FileData file) override {
    const uint64_t size = file.size;
    sink_.write_file(std::move(file));
    metrics_.count_sent(size);
  }

 private:
  ByteSink& sink_;
  Metrics& metrics_;
};

void send_changes(LayerChanges& changes, ByteSink& sink, const CallRecord& record) {
  ChangesReply reply(sink);
  const std::optional<Failure> failure = at_the_boundary(
      [&] {
        changes.write_to([&](std::string_view path, ChangeKind kind) { reply.add(path, kind); });
        return std::optional<Failure>();
      },
      [](const Failure& why) { return why; });
  if (failure) {
    reply.fail(failure->cause);
    record.failed(200, *failure);
  } else {
    reply.finish();
    record.served();
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
    return {.body = encode(
                with_context(call.record.endpoint(), [&] { return call.driver.repeat_init(); }))};
  return {.body = encode(call.driver.init(request_of(call, [&] { return decode_init(text); })))};
}

HttpReply apply_diff(Call& call) {
  const auto request = request_of(call, [&] { return decode_apply_query(call.http.query); });
  CountedSource body(call.http.body, call.metrics);
  return {.body = encode(call.driver.apply_diff(request, body))};
}

// The content moves after this has returned. Shared, not owned, because std::function must be
// copyable.
HttpReply diff(Call& call) {
  const std::shared_ptr<LayerDiff> content = call.driver.diff(decode<decode_diff>(call));
  return {.stream =
              [content, &metrics = call.metrics, record = call.record](ByteSink& sink) {
                return send(record, [&] {
                  CountedSink counted(sink, metrics);
                  content->write_to(counted);
                  record.served();
                });
              },
          .type = ContentType::Tar};
}

HttpReply changes(Call& call) {
  const std::shared_ptr<LayerChanges> found = call.driver.changes(decode<decode_diff>(call));
  return {.stream =
              [found, record = call.record](ByteSink& sink) {
                return send(record, [&] { send_changes(*found, sink, record); });
              },
          .type = ContentType::Json};
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
    Route{"/GraphDriver.CreateReadWrite", json<decode_create, &Driver::create_read_write>},
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

// Its place in the table.
std::optional<size_t> find_route(const HttpCall& call) {
  if (call.method != "POST") return std::nullopt;
  const auto found = std::ranges::lower_bound(kRoutes, call.path, {}, &Route::path);
  if (found == kRoutes.end() || found->path != call.path) return std::nullopt;
  return static_cast<size_t>(found - kRoutes.begin());
}

std::string_view endpoint_of(const Route& route) { return route.path.substr(1); }

HttpReply not_found(const HttpCall& call) {
  return {.status = 404,
          .body = encode(ErrorReply{"no such endpoint: " + std::string(call.method) + " " +
                                    quoted(call.path)})};
}

}  // namespace

Routes::Routes(Driver& driver, Metrics& metrics, Log& log)
    : driver_(driver), metrics_(metrics), log_(log) {
  for (const Route& route : kRoutes) endpoints_.push_back(&metrics.endpoint(endpoint_of(route)));
}

HttpReply Routes::handle(const HttpCall& http) const noexcept {
  const std::optional<size_t> place = find_route(http);
  if (!place) return not_found(http);
  const Route& route = kRoutes[*place];
  Call call{.driver = driver_,
            .metrics = metrics_,
            .http = http,
            .record = {endpoint_of(route), *endpoints_[*place], log_}};
  return at_the_boundary(
      [&] {
        HttpReply reply = route.serve(call);
        if (!reply.stream) call.record.served();
        return reply;
      },
      [&](const Failure& why) { return failure(call, why); });
}

}  // namespace overlayd
