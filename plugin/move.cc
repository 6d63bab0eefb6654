// SPDX-License-Identifier: Apache-2.0
#include "plugin/move.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>

#include "core/error.h"
#include "core/layout.h"
#include "core/store_lock.h"
#include "core/store_strip.h"
#include "core/sys.h"
#include "plugin/directories.h"

namespace overlayd {
namespace {

constexpr mode_t kPrivateMode = 0700;

class Mover {
 public:
  Mover(const EngineData& data, const MovePlan& plan)
      : data_(data),
        plan_(plan),
        commit_(choose_commit_method(Durability::Strict, data.fd()).method) {}

  size_t run() {
    write_move_record(data_.fd(),
                      {.direction = plan_.direction,
                       .driver = plan_.overlayd().driver,
                       .home = plan_.overlayd().home},
                      commit_);
    const bool is_release = plan_.direction == Direction::Release;
    if (is_release) strip();
    const size_t containers = data_.change_driver(plan_.from.driver, plan_.to.driver, commit_);
    if (is_release) {
      move_home();
      move_images();
    } else {
      move_images();
      move_home();
    }
    remove_move_record(data_.fd(), commit_);
    return containers;
  }

 private:
  void strip() {
    const UniqueFd home = sys::open_directory(data_.fd(), plan_.home());
    UniqueFd lock;
    if (sys::try_fstatat(home.get(), layout::kOwnDirectory)) lock = lock_store(home.get());
    strip_store(home.get());
  }

  void move_home() {
    if (!plan_.is_home_moved) rename(plan_.from.home, plan_.to.home, data_.home(plan_.to.home));
  }

  void move_images() {
    if (plan_.are_images_moved) return;
    rename(plan_.from.images, plan_.to.images, data_.image_database(plan_.to.images));
  }

  void rename(const std::string& from, const std::string& to, Holds there) {
    if (there == Holds::Nothing) sys::remove_tree(data_.fd(), to);
    const std::filesystem::path above = std::filesystem::path(to).parent_path();
    make_directories(data_.root() / above, kPrivateMode);
    sys::renameat(data_.fd(), from, data_.fd(), to, RENAME_NOREPLACE);
    commit_(sys::openat(data_.fd(), above.empty() ? "." : above.native(), O_RDONLY | O_DIRECTORY)
                .get());
  }

  const EngineData& data_;
  const MovePlan& plan_;
  const Commit commit_;
};

}  // namespace

size_t make_move(const EngineData& data, const MovePlan& plan) { return Mover(data, plan).run(); }

}  // namespace overlayd
