// SPDX-License-Identifier: Apache-2.0
//
// The operations that faults are put into, each with the store that it works on.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/layer_store.h"
#include "tests/faults/store_state.h"
#include "tests/integration/store_fixture.h"

namespace overlayd::test {

struct Operation {
  std::string name;
  /// The operation is opening the store; `run` is not called.
  bool is_open = false;
  /// Makes what it needs beside the usual layers. The store is open.
  std::function<void(StoreSandbox&)> prepare = {};
  /// The same with the store closed again.
  std::function<void(StoreSandbox&)> damage = {};
  /// Does it, and says what came of it, in words to compare.
  std::function<std::string(LayerStore&)> run = {};
  /// States besides those before and after that a failure may leave, made from the one before.
  std::vector<std::function<StoreState(StoreState)>> between = {};
  /// From one of these back to where it can be done again.
  std::function<void(LayerStore&)> mend = {};
};

/// The usual layers: `base`, on it `mid`, on that `top`, none mounted; `loose`, on nothing, without
/// children. All have content.
void make_usual_layers(StoreSandbox& sandbox);

std::vector<Operation> operations();

}  // namespace overlayd::test
