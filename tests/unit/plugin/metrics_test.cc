// SPDX-License-Identifier: Apache-2.0
#include "plugin/metrics.h"

#include <chrono>
#include <string>

#include <doctest/doctest.h>

namespace overlayd {
namespace {

using namespace std::chrono_literals;

// Whether it is one of the lines.
bool says(const Metrics& metrics, const std::string& line,
          const std::optional<StoreStatus>& store = std::nullopt) {
  return ("\n" + metrics.text(store)).find("\n" + line + "\n") != std::string::npos;
}

TEST_SUITE("metrics") {
  TEST_CASE("all series of an endpoint are there before its first call") {
    Metrics metrics;
    metrics.endpoint("GraphDriver.Get");
    CHECK(says(metrics, R"(overlayd_calls_total{endpoint="GraphDriver.Get"} 0)"));
    for (const char* kind :
         {"not-found", "already-exists", "busy", "invalid-argument", "bad-archive", "no-space",
          "unsupported", "corrupt", "aborted", "internal"}) {
      CHECK(says(metrics, R"(overlayd_call_errors_total{endpoint="GraphDriver.Get",kind=")" +
                              std::string(kind) + R"("} 0)"));
    }
    CHECK(says(metrics, R"(overlayd_call_duration_seconds_count{endpoint="GraphDriver.Get"} 0)"));
    CHECK(says(metrics, "overlayd_commit_duration_seconds_count 0"));
  }

  TEST_CASE("an endpoint asked for again is the same") {
    Metrics metrics;
    CHECK(&metrics.endpoint("a") == &metrics.endpoint("a"));
    CHECK(&metrics.endpoint("a") != &metrics.endpoint("b"));
  }

  TEST_CASE("a call is counted with its time and its error, for its endpoint only") {
    Metrics metrics;
    Metrics::Endpoint& get = metrics.endpoint("Get");
    metrics.endpoint("Put");
    Metrics::count_call(get, 250ms, std::nullopt);
    Metrics::count_call(get, 750ms, ErrorKind::Busy);
    CHECK(says(metrics, R"(overlayd_calls_total{endpoint="Get"} 2)"));
    CHECK(says(metrics, R"(overlayd_calls_total{endpoint="Put"} 0)"));
    CHECK(says(metrics, R"(overlayd_call_errors_total{endpoint="Get",kind="busy"} 1)"));
    CHECK(says(metrics, R"(overlayd_call_errors_total{endpoint="Get",kind="internal"} 0)"));
    CHECK(says(metrics, R"(overlayd_call_duration_seconds_sum{endpoint="Get"} 1)"));
    CHECK(says(metrics, R"(overlayd_call_duration_seconds_bucket{endpoint="Get",le="0.1"} 0)"));
    CHECK(says(metrics, R"(overlayd_call_duration_seconds_bucket{endpoint="Get",le="0.5"} 1)"));
    CHECK(says(metrics, R"(overlayd_call_duration_seconds_bucket{endpoint="Get",le="+Inf"} 2)"));
  }

  TEST_CASE("bytes, entries and commits add up") {
    Metrics metrics;
    metrics.count_received(5);
    metrics.count_received(uint64_t{1} << 40);
    metrics.count_sent(7);
    metrics.count_entries_applied(3);
    metrics.count_entries_applied(4);
    metrics.count_entries_sent(9);
    metrics.count_commit(2s);
    CHECK(says(metrics, "overlayd_bytes_received_total 1099511627781"));
    CHECK(says(metrics, "overlayd_bytes_sent_total 7"));
    CHECK(says(metrics, "overlayd_entries_applied_total 7"));
    CHECK(says(metrics, "overlayd_entries_sent_total 9"));
    CHECK(says(metrics, "overlayd_commit_duration_seconds_sum 2"));
    CHECK(says(metrics, R"(overlayd_commit_duration_seconds_bucket{le="2.5"} 1)"));
  }

  TEST_CASE("what the store says is told, and nothing of a store that is not there") {
    const Metrics metrics;
    StoreStatus store;
    store.layers = 12;
    store.mounted = 3;
    store.unfinished = 1;
    store.trash = 2;
    store.damaged = {"a", "b"};
    CHECK(says(metrics, "overlayd_store_open 1", store));
    CHECK(says(metrics, "overlayd_layers 12", store));
    CHECK(says(metrics, "overlayd_layers_damaged 2", store));
    CHECK(says(metrics, "overlayd_layers_unfinished 1", store));
    CHECK(says(metrics, "overlayd_mounts 3", store));
    CHECK(says(metrics, "overlayd_trash 2", store));
    CHECK(says(metrics, "overlayd_store_open 0"));
    CHECK(metrics.text(std::nullopt).find("overlayd_layers") == std::string::npos);
  }

  TEST_CASE("version and process are told") {
    const std::string text = Metrics().text(std::nullopt);
    CHECK(text.find("overlayd_build_info{version=\"") != std::string::npos);
    for (const std::string name : {"process_cpu_seconds_total", "process_start_time_seconds",
                                   "process_resident_memory_bytes", "process_open_fds",
                                   "process_max_fds", "process_threads"}) {
      CAPTURE(name);
      CHECK(text.find("\n" + name + " ") != std::string::npos);
      CHECK(text.find("\n" + name + " 0\n") == std::string::npos);
    }
  }
}

}  // namespace
}  // namespace overlayd
