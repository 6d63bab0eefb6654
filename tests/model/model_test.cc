// SPDX-License-Identifier: Apache-2.0
//
// The model test. From the environment, as scripts/model sets it:
//
//   OVERLAYD_MODEL_STEPS=100000   calls and acts; 10,000 without it
//   OVERLAYD_MODEL_SEED=77        1 without it
//   OVERLAYD_MODEL_CLIENTS=2      4 without it
//   OVERLAYD_MODEL_PLAN=1         only print the plan
#include <cstdio>
#include <cstdlib>

#include <doctest/doctest.h>

#include "tests/model/plan.h"
#include "tests/model/run.h"
#include "tests/support/root_sandbox.h"

namespace overlayd::model {
namespace {

uint64_t number(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

void print_plan(const RunOptions& options) {
  Plan plan(options.seed, options.clients);
  for (size_t steps = 0; steps < options.steps;) {
    const Round round = plan.next();
    std::printf("%s  --\n", to_string(round).c_str());
    for (const Lane& lane : round.lanes) steps += lane.calls.size();
    steps += round.acts.size();
  }
}

TEST_CASE_FIXTURE(test::RootSandbox,
                  "calls at once, kills and restarts leave what the model says") {
  const RunOptions options{.seed = number("OVERLAYD_MODEL_SEED", 1),
                           .steps = number("OVERLAYD_MODEL_STEPS", 10'000),
                           .clients = number("OVERLAYD_MODEL_CLIENTS", 4)};
  if (number("OVERLAYD_MODEL_PLAN", 0) != 0) return print_plan(options);
  const RunReport report = run(path(), options);
  std::fprintf(stderr, "seed %llu: %s", static_cast<unsigned long long>(options.seed),
               to_string(report).c_str());
  CHECK_MESSAGE(report.failure.empty(), report.failure);
}

}  // namespace
}  // namespace overlayd::model
