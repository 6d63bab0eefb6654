// SPDX-License-Identifier: Apache-2.0
//
// Moving an engine's layers, images and containers from its own driver overlay2 to overlayd (adopt)
// and back (release), in place, by renames and a new word in each container's record:
//
//   adopt                                  release
//   record                                 record
//                                          strip the home of what is overlayd's
//   containers/*: "Driver"                 containers/*: "Driver"
//   image/overlay2 -> image/<driver>       <home> -> overlay2
//   overlay2 -> <home>                     image/<driver> -> image/overlay2
//   no record                              no record
//
// Each step lasts before the next begins, and may be done again: after a kill or a power cut the
// same command goes on, and the other one goes back. While there is a record overlayd serves no
// store of that root. An engine on overlay2 knows of no record, but never finds an image database
// without its layers, which it would tear apart. It may make an empty home and an empty database,
// which make way.
#pragma once

#include "plugin/engine_data.h"
#include "plugin/move_plan.h"

namespace overlayd {

/// Makes the move of a plan without obstacles, which was made while the engine was kept off and it
/// still is. An Error leaves an interrupted move. Returns how many containers it changed.
size_t make_move(const EngineData& data, const MovePlan& plan);

}  // namespace overlayd
