// SPDX-License-Identifier: Apache-2.0
//
// A call of the protocol as the plan has it, and what came back. Plain values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/model/tree.h"

namespace overlayd::model {

struct Call {
  enum class Kind {
    Init,
    Capabilities,
    Status,
    Cleanup,
    Create,
    CreateReadWrite,
    Remove,
    Get,
    Put,
    Exists,
    GetMetadata,
    Diff,
    Changes,
    DiffSize,
    ApplyDiff,
  };
  /// What is wrong with the tar of an ApplyDiff.
  enum class Fault {
    None,
    CutTar,   ///< the body ends properly, but within a member
    BadTar,   ///< a checksum is wrong
    CutBody,  ///< the sender stops in the middle
  };

  Kind kind;
  std::string id = {};
  std::string parent = {};
  Members members = {};
  Fault fault = Fault::None;
  uint64_t number = 0;  ///< of the step in the plan: no two calls share one
};

struct Answer {
  enum class Kind {
    Success,
    Failure,  ///< an Err, or a stream that broke off
    None,     ///< overlayd ended before
  };
  Kind kind;
  std::string text = {};  ///< the body of a success, the Err of a failure; empty for a tar
  Members members = {};   ///< of Diff's tar
};

/// What one client does in a round, one call after the other. Those behind the last answer, or
/// behind the first without one, were not made.
struct Lane {
  std::vector<Call> calls;
  std::vector<Answer> answers;
};

const char* name_of(Call::Kind kind);
std::string to_string(const Call& call);
std::string to_string(const Answer& answer);
/// A line a call, with what came back.
std::string to_string(const std::vector<Lane>& lanes);

}  // namespace overlayd::model
