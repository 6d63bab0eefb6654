// SPDX-License-Identifier: Apache-2.0
#include "plugin/move_plan.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "core/engine_layers.h"
#include "core/error.h"
#include "core/layout.h"
#include "core/overlay_traces.h"
#include "core/store_check.h"
#include "core/store_lock.h"
#include "core/store_look.h"
#include "core/store_mounts.h"
#include "core/store_survey.h"
#include "core/sys.h"

namespace overlayd {
namespace {

using Path = std::filesystem::path;

constexpr const char* kBuiltIn = "overlay2";
constexpr const char* kUsual = "overlayd";
// Docker's driver mounts no more.
constexpr size_t kMaxLowers = 128;

/// Of a directory that is to be renamed.
struct Where {
  bool is_moved = false;
  std::string obstacle = {};  // not empty: neither here nor there, or both
};

struct statx look(int dirfd, const std::string& path) {
  struct statx info {};
  if (::statx(dirfd, path.c_str(), AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_MNT_ID, &info) !=
      0)
    throw_errno("stat", path);
  return info;
}

/// A list of sentences that stays readable.
class Sentences {
 public:
  explicit Sentences(std::vector<std::string>& to) : to_(to) {}
  ~Sentences() {
    if (count_ > kMost)
      to_.push_back("and " + std::to_string(count_ - kMost) + " more of that kind");
  }
  Sentences(const Sentences&) = delete;
  Sentences& operator=(const Sentences&) = delete;
  void add(const std::string& sentence) {
    if (++count_ <= kMost) to_.push_back(sentence);
  }

 private:
  static constexpr size_t kMost = 10;
  std::vector<std::string>& to_;
  size_t count_ = 0;
};

class Planner {
 public:
  Planner(const EngineData& data, const MoveOptions& options) : data_(data), options_(options) {}

  MovePlan run() {
    plan_.direction = options_.direction;
    plan_.interrupted = read_move_record(data_.fd());
    name_places();
    find_things();
    if (!plan_.obstacles.empty()) return std::move(plan_);
    check_directories();
    check_not_served();
    check_containers();
    if (plan_.obstacles.empty()) check_store();
    return std::move(plan_);
  }

 private:
  void obstacle(const std::string& sentence) { plan_.obstacles.push_back(sentence); }

  // ------------------------------------------------------------------------------------- places

  void name_places() {
    const auto& interrupted = plan_.interrupted;
    const std::string driver =
        options_.driver.value_or(interrupted ? interrupted->driver : std::string(kUsual));
    check_driver(driver);
    if (interrupted && interrupted->driver != driver) {
      throw Error(ErrorKind::InvalidArgument,
                  "a move of driver " + quoted(interrupted->driver) +
                      " was interrupted: finish that one first, or take it back");
    }
    const std::string home = interrupted ? interrupted->home : home_of(driver);
    DriverPlace built_in = {.driver = kBuiltIn, .home = kBuiltIn, .images = images_of(kBuiltIn)};
    DriverPlace ours = {.driver = driver, .home = home, .images = images_of(driver)};
    const bool is_adopt = plan_.direction == Direction::Adopt;
    plan_.from = is_adopt ? built_in : ours;
    plan_.to = is_adopt ? ours : built_in;
  }

  static void check_driver(const std::string& driver) {
    const Path path = driver;
    const bool is_below =
        !driver.empty() && path.is_relative() && path.lexically_normal().native() == driver &&
        std::ranges::none_of(
            path, [](const Path& name) { return name.empty() || name.native().starts_with('.'); });
    if (!is_below || driver == kBuiltIn) {
      throw Error(ErrorKind::InvalidArgument,
                  quoted(driver) + " is no name that overlayd can have as a storage driver");
    }
  }

  static std::string images_of(const std::string& driver) { return "image/" + driver; }

  // Only managed plugins have a tag.
  std::string home_of(const std::string& driver) const {
    if (driver.find(':') == std::string::npos) return driver;
    const std::vector<std::string> homes = data_.plugin_homes(driver);
    if (homes.size() == 1) return homes.front();
    throw Error(ErrorKind::NotFound, "there is no managed plugin " + quoted(driver) + " in " +
                                         quoted(data_.root().native()));
  }

  std::string full(const std::string& path) const { return quoted((data_.root() / path).native()); }

  void find_things() {
    const Holds home = data_.home(plan_.from.home),
                images = data_.image_database(plan_.from.images);
    const Where where_home = where(home, data_.home(plan_.to.home), plan_.from.home, plan_.to.home);
    const Where where_images =
        where(images, data_.image_database(plan_.to.images), plan_.from.images, plan_.to.images);
    plan_.is_home_moved = where_home.is_moved;
    plan_.are_images_moved = where_images.is_moved;
    for (const std::string& sentence : {where_home.obstacle, where_images.obstacle}) {
      if (!sentence.empty()) obstacle(sentence);
    }
    if (plan_.interrupted || !plan_.obstacles.empty()) return;
    if (plan_.is_home_moved && plan_.are_images_moved) throw_nothing_there();
    if (plan_.is_home_moved || plan_.are_images_moved) {
      obstacle("layers are in " + full(plan_.home()) + ", but the image database is " +
               full(plan_.images()));
    }
  }

  Where where(Holds from, Holds to, const std::string& source, const std::string& target) const {
    if (from == Holds::Something && to == Holds::Something) {
      return {.obstacle = full(source) + " and " + full(target) +
                          " both hold something: remove what is in one of them, with an engine on "
                          "its driver, or put it aside"};
    }
    if (from == Holds::Something) return {};
    if (to == Holds::Something) return {.is_moved = true};
    if (from == Holds::Nothing) return {};
    if (to == Holds::Nothing) return {.is_moved = true};
    return {.obstacle = "there is neither " + full(source) + " nor " + full(target) +
                        data_.hint_at_remapped_root()};
  }

  [[noreturn]] void throw_nothing_there() const {
    throw Error(ErrorKind::NotFound, "nothing to " + std::string(to_string(plan_.direction)) +
                                         ": " + full(plan_.from.home) + " holds no layers, and " +
                                         full(plan_.to.home) + " is there");
  }

  // ------------------------------------------------------------------------------- directories

  void check_directories() {
    for (const std::string* path :
         {&plan_.from.home, &plan_.from.images, &plan_.to.home, &plan_.to.images}) {
      check_directory(*path);
    }
    if (!plan_.obstacles.empty()) return;
    if (!plan_.is_home_moved) check_one_mount(plan_.from.home, plan_.to.home);
    if (!plan_.are_images_moved) check_one_mount(plan_.from.images, plan_.to.images);
    const uid_t owner = sys::fstatat(data_.fd(), plan_.home()).st_uid;
    if (owner != ::geteuid()) {
      obstacle(full(plan_.home()) + " belongs to user " + std::to_string(owner) +
               ", as the store of a rootless engine does, which overlayd does not serve");
    }
  }

  void check_directory(const std::string& path) {
    if (!sys::try_fstatat(data_.fd(), path)) return;
    const struct statx info = look(data_.fd(), path);
    if (!S_ISDIR(info.stx_mode)) {
      obstacle(full(path) + " is no directory, or a symlink to one");
    } else if ((info.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0) {
      obstacle(full(path) + " is a mount point, which cannot be renamed");
    }
  }

  void check_one_mount(const std::string& from, const std::string& to) {
    Path above = Path(to).parent_path();
    while (!above.empty() && !sys::try_fstatat(data_.fd(), above)) above = above.parent_path();
    const auto source = look(data_.fd(), from);
    const auto target = look(data_.fd(), above.empty() ? "." : above.native());
    if (source.stx_mnt_id != target.stx_mnt_id) {
      obstacle(full(from) + " cannot be renamed to " + full(to) + ": that is in another mount");
    }
  }

  void check_not_served() {
    for (const std::string* path : {&plan_.from.home, &plan_.to.home}) {
      const UniqueFd home = sys::try_openat(data_.fd(), *path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      if (home && is_store_served(home.get())) {
        obstacle("overlayd serves " + full(*path) + ": stop it first");
      }
    }
  }

  void check_containers() {
    Sentences running(plan_.obstacles), unreadable(plan_.warnings);
    for (const EngineContainer& container : data_.containers()) {
      if (container.driver.empty()) {
        unreadable.add("container " + quoted(container.name) +
                       " is left alone: what the engine has written down of it cannot be read");
      }
      if (container.driver != plan_.from.driver && container.driver != plan_.to.driver) continue;
      ++plan_.containers;
      if (!container.is_running) continue;
      running.add("container " + quoted(container.name) +
                  " is running: stop it; if it is not, the engine was cut off: start it and stop "
                  "it once");
    }
  }

  // -------------------------------------------------------------------------------------- store

  void check_store() {
    home_ = open_store(data_.root() / plan_.home());
    survey_ = survey_store(home_.get());
    plan_.layers = survey_.layers.size();
    engine_.emplace(data_.root() / plan_.images() / "layerdb");
    check_mounts();
    check_damage();
    if (plan_.direction == Direction::Release) {
      check_what_docker_can();
    } else {
      check_what_overlayd_can();
    }
  }

  void check_mounts() {
    Sentences mounted(plan_.obstacles);
    std::map<std::string, std::string> links;
    for (const SurveyedLayer& layer : survey_.layers) {
      if (!layer.record.link.empty()) links.emplace(layer.record.link, layer.id.str());
    }
    const std::map<std::string, LayerMount> layers = mounted_layers(read_mount_namespaces(), links);
    for (const auto& [id, mount] : layers) {
      mounted.add("layer " + quoted(id) + " is mounted at " + quoted(mount.mount_point) +
                  ", as process " + std::to_string(mount.process) + " (" +
                  printable(mount.command) + ") sees it");
    }
    for (const StoreMount& mount : mounts_in_store(home_.get())) {
      if (!layers.contains(mount.layer)) {
        mounted.add("there is a mount at " + full(plan_.home() + "/" + mount.below));
      }
    }
  }

  // Damage to layers that nobody needs was there before, and harms nobody.
  void check_damage() {
    Sentences needed(plan_.obstacles), others(plan_.warnings);
    const std::set<std::string> ids = needed_ids();
    for (const Finding& finding : overlayd::check_store(data_.root() / plan_.home(), {}).findings) {
      if (finding.gravity != Finding::Gravity::Damage) continue;
      const std::string sentence = "damage: " + quoted(finding.file) + ": " + finding.what +
                                   (finding.repair ? " (`overlayd check --repair` mends it)" : "");
      (ids.contains(finding.layer) || finding.layer.empty() ? needed : others).add(sentence);
    }
  }

  std::set<std::string> needed_ids() const {
    std::set<std::string> ids;
    const std::vector<bool> needed = needed_layers(survey_, *engine_);
    for (size_t i = 0; i < needed.size(); ++i) {
      if (needed[i]) ids.insert(survey_.layers[i].id.str());
    }
    return ids;
  }

  void check_what_docker_can() {
    Sentences found(plan_.obstacles);
    for (const SurveyedLayer& layer : survey_.layers) {
      const std::string& id = layer.id.str();
      const size_t lowers = layer.record.lowers().size();
      if (lowers > kMaxLowers) {
        found.add("layer " + quoted(id) + " lies on " + std::to_string(lowers) +
                  " others, and the engine's own driver mounts no more than " +
                  std::to_string(kMaxLowers));
      }
      if (layer.record.partial && engine_->user(id) != nullptr) {
        found.add("layer " + quoted(id) + " was never filled, and the engine takes it for whole");
      }
    }
  }

  void check_what_overlayd_can() {
    Sentences found(plan_.obstacles);
    for (const SurveyedLayer& layer : survey_.layers) {
      try {
        check_overlay_traces(home_.get(), layer.id);
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::Unsupported) throw;
        found.add(error.what());
      }
    }
  }

  const EngineData& data_;
  const MoveOptions& options_;
  MovePlan plan_;
  UniqueFd home_;
  Survey survey_;
  std::optional<EngineLayers> engine_;
};

}  // namespace

MovePlan plan_move(const EngineData& data, const MoveOptions& options) {
  return Planner(data, options).run();
}

}  // namespace overlayd
