// SPDX-License-Identifier: Apache-2.0
//
// The model of a store: what it must answer, and what it is then like. A call is made of one to
// three parts that happen at once each; between them other calls may see it half done, and that is
// all they may see:
//
//   Create     its parent becomes read-only, and its files stay | the layer is there
//   Remove     the layer cannot be used any more | its id is free, unless others lie on it: then it
//              is there for these only, and its id is free when the last of them goes
//   ApplyDiff  the layer is being filled | it is filled, or will never be
//   Diff, Changes, DiffSize   the layer may be read | its content as it is now | told, or not if
//                             the layer was removed meanwhile
//
// Pure, any thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/model/call.h"

namespace overlayd::model {

enum class Mount { None, ReadOnly, ReadWrite };

/// A tree that states share; equal if the trees are.
class SharedTree {
 public:
  SharedTree() = default;
  explicit SharedTree(Tree tree) : tree_(std::make_shared<Tree>(std::move(tree))) {}
  const Tree& operator*() const { return *tree_; }
  bool operator==(const SharedTree& other) const {
    return tree_ == other.tree_ || *tree_ == *other.tree_;
  }

 private:
  std::shared_ptr<const Tree> tree_ = empty();
  static std::shared_ptr<const Tree> empty() {
    static const auto kEmpty = std::make_shared<Tree>();
    return kEmpty;
  }
};

struct Layer {
  std::string parent;
  uint64_t made;  ///< the number of its Create: a layer of the same id made later is another
  SharedTree tree;
  bool empty = true;       ///< has nothing of its own on disk
  bool committed = false;  ///< has or had a child
  bool filling = false;
  bool unfinished = false;  ///< takes only Remove; also while it is being filled
  bool gone = false;        ///< removed; its id is still taken, and its files are others' lowers
  unsigned children = 0;
  Mount mount = Mount::None;  ///< what the kernel has
  bool seen = false;          ///< mounted as far as the store knows
  unsigned holders = 0;       ///< Get minus Put, as far as the store knows
  bool rooted = false;        ///< some process has it as its root directory

  bool operator==(const Layer& other) const = default;
  /// Removed, but other layers lie on it.
  bool lingers() const { return gone && children > 0; }
  /// Whoever holds it may write to it, and it shows what is written.
  bool writable() const;
};

struct State {
  std::map<std::string, Layer> layers;

  /// What a lane's call under way has found.
  struct Pending {
    uint64_t made = 0;
    bool marked = false;
    SharedTree now = {}, before = {};
    bool operator==(const Pending&) const = default;
  };
  std::vector<Pending> pending;  ///< by lane; empty between rounds

  bool operator==(const State&) const = default;
};
using States = std::vector<State>;

/// The state of a store that was started anew, after a kill or a stop.
State restarted(State state);

/// Something done while no call is under way.
struct Act {
  enum class Kind {
    Edit,     ///< a program writes to the layer
    Unmount,  ///< the layer's mount goes, and not by overlayd
    Enter,    ///< a process makes the layer its root directory
    Leave,    ///< it ends
    Stop,     ///< overlayd is stopped, and started
    Kill,
  };
  Kind kind;
  std::string id = {};
  Edit edit = {};
};

bool possible(const Act& act, const State& state);
/// The state afterwards; of an edited layer it says that it has something of its own.
State done(const Act& act, State state);

class Model {
 public:
  explicit Model(std::string home) : home_(std::move(home)) {}

  struct Next {
    State state;
    bool over;  ///< the call has nothing left to do
  };
  /// What the part of the lane's call may make of the state. Nothing, if it must wait or if no
  /// answer but another than this could come of it. Null: whatever the answer.
  std::vector<Next> step(const State& state, size_t lane, const Call& call, unsigned part,
                         const Answer* answer) const;

 private:
  class Step;
  std::string home_;
};

const char* name_of(Act::Kind kind);
std::string to_string(const Act& act);
std::string to_string(const State& state);

}  // namespace overlayd::model
