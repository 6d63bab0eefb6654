// SPDX-License-Identifier: Apache-2.0
//
// Calls made at once must answer as if their parts (tests/model/model.h) had been done one after
// the other, in some order that keeps each client's own.
#pragma once

#include <vector>

#include "tests/model/model.h"

namespace overlayd::model {

/// Every state that the store may be in after the lanes, if it was in one of `from` before: those
/// that some order leads to which gives each call the answer it had. A call without an answer may
/// have got to any of its parts. Empty: no order explains the answers.
States explain(const Model& model, const States& from, const std::vector<Lane>& lanes);

/// The same for one call that was made alone.
States explain(const Model& model, const States& from, const Call& call, const Answer& answer);

/// The state after the calls were made one by one, lane by lane, whatever the answers.
State guess(const Model& model, State state, const std::vector<Lane>& lanes);

}  // namespace overlayd::model
