// SPDX-License-Identifier: Apache-2.0
#include "plugin/metrics.h"

#include <array>
#include <map>
#include <sstream>
#include <utility>
#include <vector>

#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include "plugin/process_usage.h"
#include "plugin/version.h"

namespace overlayd {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

// A call may be a look into a table, a mount, or a layer of gigabytes.
const prometheus::Histogram::BucketBoundaries kCallSeconds = {
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
    0.25,   0.5,     1,      2.5,   5,      10,    30,   60,    300};
// From a disk with a safe cache to one that others keep busy.
const prometheus::Histogram::BucketBoundaries kCommitSeconds = {
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
    0.1,    0.25,    0.5,    1,     2.5,    5,     10,   30};

constexpr size_t kKinds = static_cast<size_t>(ErrorKind::Internal) + 1;  // which is the last

double seconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

// One that has no labels and is known when it is asked for.
MetricFamily sample(MetricType type, const char* name, const char* help, double value) {
  prometheus::ClientMetric metric;
  metric.counter.value = metric.gauge.value = value;
  return {.name = name, .help = help, .type = type, .metric = {std::move(metric)}};
}

MetricFamily gauge(const char* name, const char* help, size_t value) {
  return sample(MetricType::Gauge, name, help, static_cast<double>(value));
}

void append_store(std::vector<MetricFamily>& all, const StoreStatus& store) {
  all.push_back(gauge("overlayd_layers", "Layers in the store.", store.layers));
  all.push_back(gauge("overlayd_layers_damaged",
                      "Layers that can only be removed, as what is on disk contradicts itself.",
                      store.damaged.size()));
  all.push_back(gauge("overlayd_layers_unfinished",
                      "Layers that can only be removed, as their ApplyDiff did not finish.",
                      store.unfinished));
  all.push_back(gauge("overlayd_mounts", "Layers that are mounted.", store.mounted));
  all.push_back(gauge("overlayd_trash", "What is removed but not deleted yet.", store.trash));
}

void append_process(std::vector<MetricFamily>& all, double start) {
  const ProcessUsage usage = process_usage();
  all.push_back(sample(MetricType::Counter, "process_cpu_seconds_total",
                       "Processor time used, in seconds.", usage.cpu_seconds));
  all.push_back(sample(MetricType::Gauge, "process_start_time_seconds",
                       "When the process began, in seconds since 1970.", start));
  all.push_back(gauge("process_resident_memory_bytes", "Memory in use.", usage.resident_bytes));
  all.push_back(gauge("process_open_fds", "Open descriptors.", usage.open_fds));
  all.push_back(gauge("process_max_fds", "How many may be open.", usage.max_fds));
  all.push_back(gauge("process_threads", "Threads.", usage.threads));
}

}  // namespace

class Metrics::Endpoint {
 public:
  prometheus::Counter& calls;
  prometheus::Histogram& duration;
  std::array<prometheus::Counter*, kKinds> errors;  // by kind
};

struct Metrics::Impl {
  prometheus::Counter& counter(const char* name, const char* help) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(registry).Add({});
  }

  const double start = seconds(std::chrono::system_clock::now().time_since_epoch());
  prometheus::Registry registry;
  prometheus::Family<prometheus::Counter>& calls = prometheus::BuildCounter()
                                                       .Name("overlayd_calls_total")
                                                       .Help("Calls that ended, however they did.")
                                                       .Register(registry);
  prometheus::Family<prometheus::Counter>& errors = prometheus::BuildCounter()
                                                        .Name("overlayd_call_errors_total")
                                                        .Help("Calls that failed.")
                                                        .Register(registry);
  prometheus::Family<prometheus::Histogram>& durations =
      prometheus::BuildHistogram()
          .Name("overlayd_call_duration_seconds")
          .Help("Time from a call to its end, with all that it received and sent.")
          .Register(registry);
  prometheus::Counter& received =
      counter("overlayd_bytes_received_total", "Bytes of layer tars that ApplyDiff received.");
  prometheus::Counter& sent =
      counter("overlayd_bytes_sent_total", "Bytes of layer tars that Diff sent.");
  prometheus::Counter& entries_applied = counter(
      "overlayd_entries_applied_total", "Members of the layer tars that ApplyDiff made layers of.");
  prometheus::Counter& entries_sent =
      counter("overlayd_entries_sent_total", "Members of the layer tars that Diff sent whole.");
  prometheus::Histogram& commits =
      prometheus::BuildHistogram()
          .Name("overlayd_commit_duration_seconds")
          .Help("Time that the disk took to make a change to the store last.")
          .Register(registry)
          .Add({}, kCommitSeconds);
  std::map<std::string, Endpoint, std::less<>> endpoints;
};

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {
  prometheus::BuildGauge()
      .Name("overlayd_build_info")
      .Help("Always 1; the version is a label.")
      .Register(impl_->registry)
      .Add({{"version", std::string(version())}})
      .Set(1);
}

Metrics::~Metrics() = default;

Metrics::Endpoint& Metrics::endpoint(std::string_view name) {
  const auto found = impl_->endpoints.find(name);
  if (found != impl_->endpoints.end()) return found->second;
  const std::string label(name);
  Endpoint made{.calls = impl_->calls.Add({{"endpoint", label}}),
                .duration = impl_->durations.Add({{"endpoint", label}}, kCallSeconds),
                .errors = {}};
  for (size_t i = 0; i < kKinds; ++i) {
    const std::string kind(to_string(static_cast<ErrorKind>(i)));
    made.errors[i] = &impl_->errors.Add({{"endpoint", label}, {"kind", kind}});
  }
  return impl_->endpoints.emplace(label, made).first->second;
}

void Metrics::count_call(Endpoint& endpoint, std::chrono::nanoseconds time,
                         std::optional<ErrorKind> error) noexcept {
  endpoint.calls.Increment();
  endpoint.duration.Observe(seconds(time));
  if (error) endpoint.errors[static_cast<size_t>(*error)]->Increment();
}

void Metrics::count_received(uint64_t bytes) noexcept {
  impl_->received.Increment(static_cast<double>(bytes));
}

void Metrics::count_sent(uint64_t bytes) noexcept {
  impl_->sent.Increment(static_cast<double>(bytes));
}

void Metrics::count_entries_applied(uint64_t entries) noexcept {
  impl_->entries_applied.Increment(static_cast<double>(entries));
}

void Metrics::count_entries_sent(uint64_t entries) noexcept {
  impl_->entries_sent.Increment(static_cast<double>(entries));
}

void Metrics::count_commit(std::chrono::nanoseconds time) noexcept {
  impl_->commits.Observe(seconds(time));
}

std::string Metrics::text(const std::optional<StoreStatus>& store) const {
  std::vector<MetricFamily> all = impl_->registry.Collect();
  all.push_back(gauge("overlayd_store_open", "1 while a store is served, else 0.", store ? 1 : 0));
  if (store) append_store(all, *store);
  append_process(all, impl_->start);
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, all);
  return std::move(text).str();
}

}  // namespace overlayd
