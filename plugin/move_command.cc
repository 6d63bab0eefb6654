// SPDX-License-Identifier: Apache-2.0
#include "plugin/move_command.h"

#include <exception>
#include <ostream>
#include <string>

#include "core/error.h"
#include "plugin/engine_data.h"
#include "plugin/move.h"

namespace overlayd {
namespace {

constexpr int kDone = 0, kRefused = 1, kFailed = 2;

std::string counted(size_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

class MoveCommand {
 public:
  MoveCommand(const MoveOptions& options, std::ostream& out, std::ostream& err)
      : options_(options), out_(out), err_(err) {}

  int run() {
    const EngineData data(options_.root);
    root_ = data.root();
    const UniqueFd lock = data.lock();
    const MovePlan plan = plan_move(data, options_);
    for (const std::string& warning : plan.warnings) err_ << "overlayd: " << warning << '\n';
    if (plan.interrupted) tell_interrupted(*plan.interrupted);
    if (!plan.obstacles.empty()) return refuse(plan);
    if (options_.dry_run) {
      tell_plan(plan);
      return kDone;
    }
    make(data, plan);
    return kDone;
  }

  /// After that no error is a refusal.
  bool has_begun() const { return has_begun_; }

 private:
  std::string full(const std::string& path) const { return quoted((root_ / path).native()); }

  void tell_interrupted(const MoveRecord& before) {
    const bool is_same = before.direction == options_.direction;
    out_ << "an interrupted " << to_string(before.direction) << " is "
         << (is_same ? "finished" : "taken back") << '\n';
  }

  int refuse(const MovePlan& plan) {
    for (const std::string& obstacle : plan.obstacles) err_ << "overlayd: " << obstacle << '\n';
    err_ << "overlayd: " << to_string(options_.direction) << " refused, nothing was changed\n";
    return kRefused;
  }

  void tell_plan(const MovePlan& plan) {
    out_ << "would rename " << full(plan.from.images) << " to " << full(plan.to.images)
         << (plan.are_images_moved ? ": done already" : "") << "\nwould rename "
         << full(plan.from.home) << ", with " << counted(plan.layers, "layer") << ", to "
         << full(plan.to.home) << (plan.is_home_moved ? ": done already" : "") << "\nwould make "
         << counted(plan.containers, "container") << " those of driver " << quoted(plan.to.driver)
         << '\n';
    if (plan.direction == Direction::Release) {
      out_ << "would remove what is overlayd's own from the layers: digests, recorded sizes, "
              "leftovers\n";
    }
  }

  void make(const EngineData& data, const MovePlan& plan) {
    has_begun_ = true;
    with_context("interrupted, and to be run again", [&] { make_move(data, plan); });
    out_ << "moved " << counted(plan.layers, "layer") << " to " << full(plan.to.home)
         << ", with their images and " << counted(plan.containers, "container")
         << "\nthe engine finds them with the storage driver " << quoted(plan.to.driver);
    if (plan.direction == Direction::Adopt) out_ << " and the option experimental";
    out_ << ", as in daemon.json\n";
  }

  const MoveOptions& options_;
  std::ostream& out_;
  std::ostream& err_;
  std::filesystem::path root_;
  bool has_begun_ = false;
};

bool is_refusal(const Error& error) {
  return error.kind() == ErrorKind::Busy || error.kind() == ErrorKind::NotFound ||
         error.kind() == ErrorKind::InvalidArgument;
}

}  // namespace

int run_move(const MoveOptions& options, std::ostream& out, std::ostream& err) {
  MoveCommand command(options, out, err);
  try {
    return command.run();
  } catch (const std::exception& error) {
    err << "overlayd: " << to_string(options.direction) << ": " << error.what() << '\n';
    const auto* const ours = dynamic_cast<const Error*>(&error);
    return ours != nullptr && !command.has_begun() && is_refusal(*ours) ? kRefused : kFailed;
  }
}

}  // namespace overlayd
