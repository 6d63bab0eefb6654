// SPDX-License-Identifier: Apache-2.0
#include "tests/faults/fault_loop.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <system_error>
#include <thread>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "core/layout.h"
#include "core/store_listing.h"
#include "core/store_survey.h"
#include "core/sys.h"
#include "tests/faults/allocation_faults.h"
#include "tests/integration/overlay_fixture.h"
#include "tests/support/tar_builder.h"

namespace overlayd::test {
namespace {

/// By what the kernel may count times of change, or more.
constexpr std::chrono::milliseconds kTick{20};

bool is_empty(const std::string& path) {
  return sys::list_directory(sys::open_path_dir(AT_FDCWD, path).get()).empty();
}

bool says_why(const std::string& message, int errnum) {
  const auto named = [&](int number) {
    return message.find(std::generic_category().message(number)) != std::string::npos;
  };
  // POSIX has pthread_create(3) say EAGAIN for want of memory.
  return named(errnum) || (errnum == ENOMEM && named(EAGAIN));
}

/// A layer whose files cannot be read is served as a damaged one, until the next start.
StoreState without_damaged(const StoreState& state, StoreState found) {
  for (auto& [id, line] : found) {
    if (line.starts_with("corrupt") && state.contains(id)) line = state.at(id);
  }
  return found;
}

// Until the background thread has done what it can: it says so when it gives up.
void wait_for_trash(const StoreSandbox& sandbox) {
  const std::string trash = sandbox.config.home.string() + "/" + layout::kTrashDirectory;
  eventually([&] { return is_empty(trash) || sandbox.notes.contains("trash"); });
}

// The home holds its layers and what belongs to them, and no more.
void check_no_leftovers(const StoreSandbox& sandbox) {
  const UniqueFd home = sandbox.home();
  CHECK(sandbox.trash_empties());
  CHECK(is_empty(sandbox.config.home.string() + "/" + layout::kStagingDirectory));
  size_t layers = 0;
  for (const sys::DirEntry& layer : sys::list_directory(home.get())) {
    if (layer.name == layout::kLinkDirectory || layer.name == layout::kOwnDirectory) continue;
    ++layers;
    const UniqueFd directory = sys::open_path_dir(home.get(), layer.name);
    for (const sys::DirEntry& entry : sys::list_directory(directory.get())) {
      const auto known = {layout::kDiff,      layout::kLink,    layout::kLower, layout::kWork,
                          layout::kMerged,    layout::kRemoved, layout::kSize,  layout::kPartial,
                          layout::kCommitted, layout::kDigests};
      CHECK_MESSAGE(std::ranges::find(known, entry.name) != known.end(),
                    "left behind: " << layer.name << "/" << entry.name);
    }
  }
  CHECK(sys::list_directory(sys::open_path_dir(home.get(), "l").get()).size() == layers);
  const StoreListing listing = read_listing(home.get());
  const StoreListing recorded = read_listing_by_record(home.get());
  CHECK(recorded.layers == listing.layers);
  CHECK(recorded.links == listing.links);
  const Survey survey = survey_store(home.get());
  for (size_t i = 0; i < survey.layers.size(); ++i) {
    if (!survey.layers[i].record.removed) continue;
    const auto lies_on_it = [i](const SurveyedLayer& layer) { return layer.parent == i; };
    CHECK_MESSAGE(std::ranges::any_of(survey.layers, lies_on_it),
                  "left behind: " << survey.layers[i].id.str());
  }
}

// A store that serves does all this.
void check_serves(StoreSandbox& sandbox) {
  const std::string tar = TarBuilder().file("f", "content").end().str();
  sandbox.create("below");
  sandbox.apply("below", tar);
  sandbox.create("above", "below");
  sandbox.apply("above", TarBuilder().file("g", "more").end().str(), "below");
  sandbox.create("held", "above");
  {
    const UniqueFd root = sys::open_path_dir(AT_FDCWD, sandbox.get("held"));
    CHECK(content_of(root.get(), "f") == "content");
    put_file(root.get(), "g", "changed");
  }
  sandbox.put("held");
  CHECK(sandbox.changes("held", "above") == std::vector<Change>{{"/g", ChangeKind::Modify}});
  for (const char* id : {"held", "above", "below"}) sandbox.remove(id);
}

}  // namespace

FaultLoop::FaultLoop(const Operation& operation) : operation_(operation) {
  StoreSandbox sandbox;
  prepare(sandbox);
  const Run reference = run(sandbox, {.call = {}, .is_reference = true});
  REQUIRE_MESSAGE(reference.report.complete, "the run without a fault did not end");
  REQUIRE(reference.report.error == "");
  CHECK_MESSAGE(reference.faulted.unlisted == "",
                "faultable_calls.cc does not list " << reference.faulted.unlisted);
  result_ = reference.report.result;
  before_ = operation_.is_open ? reference.report.after : reference.report.before;
  after_ = reference.report.after;
  for (const auto& make : operation_.between) between_.push_back(make(before_));
  sandbox.open();
  sandbox.remove_everything();
}

void FaultLoop::fail_calls(int errnum, bool stays, const Places& places) {
  for (long at = places.first;; at += places.step) {
    if (!try_place({.call = {.errnum = errnum, .at = at, .stays = stays}})) return;
  }
}

void FaultLoop::kill(const Places& places) {
  for (long at = places.first;; at += places.step) {
    if (!try_place({.call = {.errnum = 0, .at = at}})) return;
  }
}

void FaultLoop::fail_allocations(const Places& places) {
  for (long at = places.first;; at += places.step) {
    if (!try_place({.call = {}, .allocation = at})) return;
  }
}

void FaultLoop::prepare(StoreSandbox& sandbox) const {
  sandbox.open();
  make_usual_layers(sandbox);
  if (operation_.prepare) operation_.prepare(sandbox);
  sandbox.close();
  // As if nothing had happened for a while: what has only just changed would not be recorded.
  record_listing(sandbox.home().get(), std::chrono::system_clock::now() + std::chrono::hours(1));
  if (operation_.damage) {
    std::this_thread::sleep_for(kTick);
    operation_.damage(sandbox);
  }
  sandbox.notes.clear();
}

FaultLoop::Run FaultLoop::run(StoreSandbox& sandbox, const Plan& plan) const {
  const UniqueFd answer(::memfd_create("report", MFD_CLOEXEC));
  Run run;
  run.faulted = run_with_fault(plan.call, [&] {
    const Report report = work(sandbox, plan);
    const std::string text =
        nlohmann::json{report.hit,    report.error,  report.result, report.is_error,
                       report.before, report.after,  report.again,  report.after_again,
                       report.fds,    report.threads}
            .dump();
    sys::write_full(answer.get(), as_bytes(text));
  });
  std::string text(static_cast<size_t>(sys::fstat(answer.get()).st_size), ' ');
  ::lseek(answer.get(), 0, SEEK_SET);
  sys::read_full(answer.get(), std::as_writable_bytes(std::span(text)));
  if (WIFEXITED(run.faulted.status) && !text.empty()) {
    const auto json = nlohmann::json::parse(text);
    Report& report = run.report;
    report.complete = true;
    json[0].get_to(report.hit), json[1].get_to(report.error), json[2].get_to(report.result);
    json[3].get_to(report.is_error), json[4].get_to(report.before);
    json[5].get_to(report.after), json[6].get_to(report.again);
    json[7].get_to(report.after_again);
    json[8].get_to(report.fds), json[9].get_to(report.threads);
  }
  return run;
}

// In the child, which ends when it is done: what escapes ends it early, and that is seen.
FaultLoop::Report FaultLoop::work(StoreSandbox& sandbox, const Plan& plan) const {
  Report report;
  const size_t fds = count_open_fds();
  if (!operation_.is_open) sandbox.open();
  if (plan.is_reference && !operation_.is_open) report.before = state_of(*sandbox.store);
  operate(sandbox, plan, report);
  if (sandbox.store) report.after = state_of(*sandbox.store);
  if (!report.error.empty()) do_again(sandbox, report);
  sandbox.close();
  report.fds = count_open_fds() - fds;
  report.threads = count_threads(1) - 1;
  return report;
}

void FaultLoop::operate(StoreSandbox& sandbox, const Plan& plan, Report& report) const {
  arm_faults();
  fail_allocation(plan.allocation);
  try {
    if (operation_.is_open) {
      sandbox.open();
    } else {
      report.result = operation_.run(*sandbox.store);
    }
    spare_allocations_of_this_thread();
  } catch (const Error& error) {
    spare_allocations_of_this_thread();
    report.error = error.what();
    report.is_error = true;
  } catch (const std::exception& error) {
    spare_allocations_of_this_thread();
    report.error = error.what();
  }
  spare_this_thread();
  if (sandbox.store) wait_for_trash(sandbox);
  report.hit = allocation_failed();
  disarm_faults();
}

void FaultLoop::do_again(StoreSandbox& sandbox, Report& report) const {
  try {
    if (operation_.is_open) {
      sandbox.open();
    } else {
      if (operation_.mend) operation_.mend(*sandbox.store);
      if (const std::string result = operation_.run(*sandbox.store); result != result_) {
        report.again = "it gave " + result;
      }
    }
    report.after_again = state_of(*sandbox.store);
  } catch (const std::exception& error) {
    report.again = error.what();
  }
}

bool FaultLoop::try_place(const Plan& plan) {
  StoreSandbox sandbox;
  prepare(sandbox);
  const Run run = this->run(sandbox, plan);
  const bool hit = plan.allocation > 0 ? run.report.hit : run.faulted.hit;
  const bool kills = plan.allocation == 0 && plan.call.errnum == 0;
  CAPTURE(operation_.name);
  CAPTURE(plan.call.at);
  CAPTURE(plan.call.errnum);
  CAPTURE(plan.call.stays);
  CAPTURE(plan.allocation);
  CAPTURE(run.faulted.call);
  CAPTURE(run.report.error);
  if (kills && hit) {
    CHECK(WIFSIGNALED(run.faulted.status));
  } else {
    CHECK_MESSAGE(run.report.complete, "the process died, status " << run.faulted.status);
    if (run.report.complete) check_report(plan, run.report);
  }
  check_next_start(sandbox, plan, run);
  // A child that died of a failed allocation could not say so; the next place may be past the end.
  return hit || !run.report.complete;
}

void FaultLoop::check_report(const Plan& plan, const Report& report) const {
  CHECK(report.fds == 0);
  CHECK(report.threads == 0);
  if (report.error.empty()) {
    const bool unreadable = operation_.is_open && plan.call.errnum == EIO;
    const StoreState found = unreadable ? without_damaged(after_, report.after) : report.after;
    CHECK(report.result == result_);
    CHECK_MESSAGE(found == after_,
                  "after a success:" << to_text(found) << "\nexpected:" << to_text(after_));
    return;
  }
  CHECK_MESSAGE(plan.call.errnum != EINTR, "an interrupted call was not repeated");
  if (plan.allocation == 0) {
    CHECK_MESSAGE(report.is_error, "not an error of core's");
    CHECK_MESSAGE(says_why(report.error, plan.call.errnum), "the error does not say why");
  }
  // What undoes may itself fail when faults stay, and an allocation may fail after the commit.
  const bool changed = plan.call.stays || plan.allocation > 0;
  CHECK_MESSAGE((operation_.is_open || is_allowed(report.after, changed)),
                "after an error:" << to_text(report.after) << "\nbefore:" << to_text(before_));
  if (changed && report.after == after_) return;
  CHECK_MESSAGE(report.again == "", "cannot be done again: " << report.again);
  CHECK_MESSAGE(report.after_again == after_,
                "done again:" << to_text(report.after_again) << "\nexpected:" << to_text(after_));
}

void FaultLoop::check_next_start(StoreSandbox& sandbox, const Plan& plan, const Run& run) const {
  sandbox.notes.clear();
  try {
    sandbox.open();
    const StoreState found = state_of(*sandbox.store);
    if (run.report.complete && plan.call.errnum + plan.allocation > 0) {
      const bool again = !run.report.after_again.empty();
      const StoreState& left = again ? run.report.after_again : run.report.after;
      CHECK_MESSAGE((found == left || (operation_.is_open && found == after_)),
                    "at the next start:" << to_text(found) << "\nleft:" << to_text(left));
    } else {
      CHECK_MESSAGE(is_allowed(found, true),
                    "after a kill:" << to_text(found) << "\nbefore:" << to_text(before_));
    }
    check_no_leftovers(sandbox);
    check_serves(sandbox);
    sandbox.remove_everything();
  } catch (const std::exception& error) {
    FAIL_CHECK("at the next start: " << error.what());
  }
}

bool FaultLoop::is_allowed(const StoreState& state, bool changed) const {
  return state == before_ || (changed && state == after_) ||
         std::ranges::find(between_, state) != between_.end();
}

}  // namespace overlayd::test
