// SPDX-License-Identifier: Apache-2.0
#include "tests/model/call.h"

namespace overlayd::model {

const char* name_of(Call::Kind kind) {
  static constexpr const char* kNames[] = {"Init",    "Capabilities",    "Status",      "Cleanup",
                                           "Create",  "CreateReadWrite", "Remove",      "Get",
                                           "Put",     "Exists",          "GetMetadata", "Diff",
                                           "Changes", "DiffSize",        "ApplyDiff"};
  return kNames[static_cast<int>(kind)];
}

std::string to_string(const Call& call) {
  static constexpr const char* kFaults[] = {"", " (cut tar)", " (bad tar)", " (cut body)"};
  std::string text = name_of(call.kind);
  if (!call.id.empty()) text += " " + call.id.substr(0, 40);
  if (!call.parent.empty()) text += " on " + call.parent;
  if (call.kind != Call::Kind::ApplyDiff) return text;
  text += " with";
  for (const Member& member : call.members) text += " " + to_string(member);
  return text + kFaults[static_cast<int>(call.fault)];
}

std::string to_string(const Answer& answer) {
  if (answer.kind == Answer::Kind::None) return "no answer";
  std::string text = answer.kind == Answer::Kind::Success ? "" : "failed: ";
  text += answer.text.substr(0, answer.text.find('\n'));
  for (const Member& member : answer.members) text += " " + to_string(member);
  return text;
}

std::string to_string(const std::vector<Lane>& lanes) {
  std::string text;
  for (size_t lane = 0; lane < lanes.size(); ++lane) {
    for (size_t i = 0; i < lanes[lane].calls.size(); ++i) {
      text += "  " + std::to_string(lane) + ": " + to_string(lanes[lane].calls[i]);
      if (i < lanes[lane].answers.size()) text += " -> " + to_string(lanes[lane].answers[i]);
      text += '\n';
    }
  }
  return text;
}

}  // namespace overlayd::model
