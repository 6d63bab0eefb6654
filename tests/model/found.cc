// SPDX-License-Identifier: Apache-2.0
#include "tests/model/found.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <chrono>
#include <thread>

#include "core/error.h"
#include "core/mountinfo.h"
#include "core/store_listing.h"
#include "core/store_survey.h"
#include "core/sys.h"
#include "core/whiteout.h"

namespace overlayd::model {
namespace {

constexpr uint64_t kUnknownFile = ~uint64_t{0};

UniqueFd open_directory(const std::string& path) {
  return sys::openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
}

std::set<std::string> names_in(const std::string& path) {
  std::set<std::string> names;
  for (const auto& entry : sys::list_directory(open_directory(path).get()))
    names.insert(entry.name);
  return names;
}

std::string read_whole(int directory, const std::string& name) {
  return sys::read_file(directory, name,
                        static_cast<size_t>(sys::fstatat(directory, name).st_size));
}

void add_tree(int directory, const std::string& prefix, Tree& tree) {
  for (const auto& [name, type] : sys::list_directory(directory)) {
    uint64_t file = kUnknownFile;
    // Of a whiteout that hides nothing overlayfs lists the name, and has no such file.
    const auto found = sys::try_fstatat(directory, name);
    if (!found || whiteout::is_whiteout(*found)) continue;
    const struct stat& info = *found;
    if (S_ISDIR(info.st_mode)) {
      file = kDirectory;
      add_tree(sys::open_directory(directory, name).get(), prefix + name + "/", tree);
    } else if (S_ISREG(info.st_mode)) {
      file = file_of(read_whole(directory, name));
      if (file == kDirectory || info.st_mtim.tv_sec != mtime_of(file)) file = kUnknownFile;
    }
    tree[prefix + name] = file;
  }
}

Tree tree_at(const std::string& path) {
  Tree tree;
  add_tree(open_directory(path).get(), "", tree);
  return tree;
}

void wait_for_empty(const std::string& directory) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!names_in(directory).empty()) {
    if (std::chrono::steady_clock::now() > deadline) {
      throw Error(ErrorKind::Internal, directory + " does not get empty");
    }
    std::this_thread::yield();
  }
}

void look_at_home(const std::string& home, Found& found) {
  for (const std::string& name : names_in(home)) {
    if (name == "l" || name == ".overlayd" || name == kStranger) continue;
    found.layers[name] = names_in(home + "/" + name);
  }
  for (const std::string& name : names_in(home + "/l")) {
    const std::string target = sys::readlinkat(AT_FDCWD, home + "/l/" + name);
    found.linked.insert(target.substr(3, target.rfind('/') - 3));  // ../ID/diff
  }
  for (const std::string& name : names_in(home + "/.overlayd/staging")) {
    found.others.insert("staging/" + name);
  }
  const UniqueFd directory = open_directory(home);
  for (const Finding& finding : survey_store(directory.get()).findings) {
    found.survey += finding.layer + " " + finding.file + ": " + finding.what + "\n";
  }
  const StoreListing listing = read_listing(directory.get());
  const StoreListing recorded = read_listing_by_record(directory.get());
  if (recorded.layers != listing.layers || recorded.links != listing.links) {
    found.survey += "the record of the listing does not say what is there\n";
  }
}

void look_at_mounts(const std::string& home, Found& found) {
  const std::string prefix = home + "/", merged = "/merged";
  bool stranger = false;
  for (const MountEntry& entry : read_mountinfo()) {
    if (!entry.mount_point.starts_with(prefix)) continue;
    const std::string place = entry.mount_point.substr(prefix.size());
    if (place == kStranger) {
      stranger = true;
    } else if (!place.ends_with(merged)) {
      found.others.insert("mount on " + place);
    } else {
      const std::string id = place.substr(0, place.size() - merged.size());
      const bool read_only =
          entry.mount_options.starts_with("ro") || entry.super_options.starts_with("ro");
      if (!found.mounts.emplace(id, read_only ? Mount::ReadOnly : Mount::ReadWrite).second) {
        found.others.insert("second mount on " + place);
      }
    }
  }
  if (!stranger) found.others.insert("no mount that was there before");
}

void look_at_records(const std::string& directory, Found& found) {
  const UniqueFd records = open_directory(directory);
  for (const auto& [id, type] : sys::list_directory(records.get())) {
    found.recorded[id] = static_cast<unsigned>(std::stoul(sys::read_file(records.get(), id, 100)));
  }
}

std::string difference_in(const std::string& id, const Layer& layer, const Found& found) {
  static const std::set<std::string> kMay = {"diff",      "link",    "lower",   "work", "merged",
                                             "committed", "removed", "partial", "size", "digests"};
  const std::set<std::string>& names = found.layers.at(id);
  const auto has = [&](const char* name) { return names.contains(name); };
  for (const std::string& name : names) {
    if (!kMay.contains(name)) return "has a file " + name;
  }
  if (!has("diff") || !has("link") || !found.linked.contains(id)) return "is not whole";
  if (has("lower") == layer.parent.empty()) return "has a parent, or none";
  if (has("removed") != layer.gone) return "is removed, or is not";
  if (has("committed") != (layer.committed && !layer.gone)) return "is committed, or is not";
  if (has("partial") != layer.unfinished) return "is unfinished, or is not";
  if (has("size") && !layer.committed) return "has a size";
  const auto mount = found.mounts.find(id);
  if ((mount == found.mounts.end() ? Mount::None : mount->second) != layer.mount) {
    return "is not mounted like that";
  }
  const auto record = found.recorded.find(id);
  if ((record != found.recorded.end()) != layer.seen) return "has a record, or none";
  if (layer.seen && record->second != layer.holders) {
    return "is recorded as held " + std::to_string(record->second) + " times";
  }
  if (layer.mount != Mount::None && found.shown.at(id) != *layer.tree) {
    return "shows other files when mounted";
  }
  if (layer.rooted && (!found.roots.contains(id) || found.roots.at(id) != *layer.tree)) {
    return "shows other files to whom it is the root";
  }
  return {};
}

}  // namespace

Found look(const std::string& home, const std::string& state_dir,
           const std::map<std::string, pid_t>& processes) {
  wait_for_empty(home + "/.overlayd/trash");
  Found found;
  look_at_home(home, found);
  look_at_records(state_dir + "/mounts", found);
  look_at_mounts(home, found);
  for (const auto& [id, mount] : found.mounts) {
    found.shown[id] = tree_at(home + "/" + id + "/merged");
  }
  for (const auto& [id, process] : processes) {
    found.roots[id] = tree_at("/proc/" + std::to_string(process) + "/root");
  }
  return found;
}

std::string difference(const State& state, const Found& found) {
  if (!found.others.empty()) return "in the home is: " + *found.others.begin();
  if (!found.survey.empty()) return found.survey;
  for (const auto& [id, names] : found.layers) {
    if (!state.layers.contains(id)) return "in the home is " + id;
  }
  for (const std::string& id : found.linked) {
    if (!state.layers.contains(id)) return "l/ leads to " + id;
  }
  for (const auto& [id, count] : found.recorded) {
    if (!state.layers.contains(id)) return "a record is there of " + id;
  }
  for (const auto& [id, layer] : state.layers) {
    if (!found.layers.contains(id)) return "not there is " + id;
    const std::string why = difference_in(id, layer, found);
    if (!why.empty()) return id + " " + why;
  }
  return {};
}

}  // namespace overlayd::model
