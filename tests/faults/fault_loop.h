// SPDX-License-Identifier: Apache-2.0
//
// FaultLoop: one operation with a fault at its first place, its second, and so on until there is no
// such place any more. After each the store is held to docs/reliability.md, by doctest's checks.
#pragma once

#include <optional>

#include "tests/faults/operations.h"
#include "tests/faults/syscall_faults.h"

namespace overlayd::test {

/// Where a fault is put: every `step`-th place from `first` on.
struct Places {
  long first = 1;
  long step = 1;
};

class FaultLoop {
 public:
  /// Runs the operation once without a fault, to know what must come of it.
  explicit FaultLoop(const Operation& operation);

  /// System calls fail with `errnum`, one a run; with `stays`, all after it as well.
  void fail_calls(int errnum, bool stays, const Places& places);
  /// The process is killed before a system call.
  void kill(const Places& places);
  /// An allocation fails.
  void fail_allocations(const Places& places);

 private:
  /// What a child tells about its run.
  struct Report {
    bool complete = false;
    bool hit = false;  // an allocation; of system calls the tracer knows
    std::string error, result;
    bool is_error = false;  // of core's own kind
    StoreState before, after;
    std::string again;  // why it could not be done again, if it could not
    StoreState after_again;
    size_t fds = 0, threads = 0;  // more than at the start
  };
  struct Plan {
    SyscallFault call;
    long allocation = 0;
    bool is_reference = false;
  };
  struct Run {
    FaultedRun faulted;
    Report report;
  };

  void prepare(StoreSandbox& sandbox) const;
  Run run(StoreSandbox& sandbox, const Plan& plan) const;
  Report work(StoreSandbox& sandbox, const Plan& plan) const;
  void operate(StoreSandbox& sandbox, const Plan& plan, Report& report) const;
  void do_again(StoreSandbox& sandbox, Report& report) const;

  /// False when the fault found no place.
  bool try_place(const Plan& plan);
  void check_report(const Plan& plan, const Report& report) const;
  void check_next_start(StoreSandbox& sandbox, const Plan& plan, const Run& run) const;
  bool is_allowed(const StoreState& state, bool changed) const;

  const Operation& operation_;
  StoreState before_, after_;
  std::vector<StoreState> between_;
  std::string result_;
};

}  // namespace overlayd::test
