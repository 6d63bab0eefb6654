// SPDX-License-Identifier: Apache-2.0
//
// Checker: whether what is there after a power cut keeps the promise. Every call that had answered
// is there, every other one wholly or not at all, everything else as it was.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/crash/recording.h"
#include "tests/crash/workload.h"

namespace overlayd::test {

struct Violation {
  enum class Kind {
    Start,   ///< the file system does not mount, or the store does not open on it or work
    Lost,    ///< a call had answered, and nothing is left of it
    Torn,    ///< a call had answered, and not all of it is there
    Half,    ///< a call had not answered, and a part of it passes for the whole
    Harmed,  ///< a layer that no call was about has changed
  };
  static constexpr size_t kKinds = 5;
  Kind kind;
  std::string what;
};

const char* to_string(Violation::Kind kind);

/// One layer as it is found.
struct FoundLayer {
  bool exists = false;
  bool unfinished = false;  ///< says of itself that it takes only Remove
  std::string damage = {};  ///< why it cannot be used
  std::string parent = {};
  std::vector<std::string> content = {};
  std::string unlike_record = {};  ///< what is wrong with the digests that its ApplyDiff recorded
};

/// The layers as overlayd shows them after starting on `root`. It then must be able to remove the
/// unfinished ones and to make a layer. Throws when it can not.
std::map<std::string, FoundLayer> find_with_overlayd(const std::string& root,
                                                     const std::string& state);
/// The layers as Docker's driver would use them. It repairs nothing when it starts.
std::map<std::string, FoundLayer> find_like_docker(const std::string& root);

/// What is wrong with `found` after a power cut at `cut`.
std::vector<Violation> judge(const Workload& workload, const Recording& recording, uint32_t cut,
                             const std::map<std::string, FoundLayer>& found);

}  // namespace overlayd::test
