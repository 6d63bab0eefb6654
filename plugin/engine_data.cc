// SPDX-License-Identifier: Apache-2.0
#include "plugin/engine_data.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/layout.h"
#include "core/sys.h"
#include "plugin/json_text.h"

namespace overlayd {
namespace {

using Json = nlohmann::json;

constexpr const char* kContainers = "containers";
constexpr const char* kConfig = "config.v2.json";
constexpr const char* kDriver = "Driver";
constexpr const char* kLocked = "volumes/metadata.db";
constexpr const char* kPlugins = "plugins";
// Docker's driver makes it on XFS, for quotas.
constexpr const char* kDeviceNode = "backingFsBlockDev";
constexpr size_t kMaxConfig = size_t{64} << 20;

std::string text_at(const Json& json, const char* pointer) {
  const Json::json_pointer at(pointer);
  return json.is_object() && json.contains(at) && json.at(at).is_string()
             ? json.at(at).get<std::string>()
             : std::string();
}

Json parse(const std::string& text) {
  Json json = Json::parse(text, nullptr, false);
  return json.is_discarded() ? Json() : json;
}

std::vector<sys::DirEntry> entries_of(int dirfd, const std::string& path) {
  const UniqueFd directory = sys::try_openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  return directory ? sys::list_directory(directory.get()) : std::vector<sys::DirEntry>();
}

std::vector<std::string> directories_in(int dirfd, const std::string& path) {
  std::vector<std::string> names;
  for (sys::DirEntry& entry : entries_of(dirfd, path)) {
    if (entry.type == DT_DIR) names.push_back(std::move(entry.name));
  }
  return names;
}

// Two levels below it, as databases by the algorithm of a digest are.
bool has_grandchildren(int dirfd, const std::string& path, std::string_view but_for = {}) {
  for (const sys::DirEntry& child : entries_of(dirfd, path)) {
    if (child.name != but_for && !entries_of(dirfd, path + "/" + child.name).empty()) return true;
  }
  return false;
}

std::string config_of(const std::string& container) {
  return std::string(kContainers) + "/" + container + "/" + kConfig;
}

EngineContainer describe(const std::string& id, const std::string& config) {
  const Json json = parse(config);
  std::string name = text_at(json, "/Name");
  if (name.starts_with('/')) name.erase(0, 1);
  static const Json::json_pointer kRunning("/State/Running");
  return {.id = id,
          .name = printable(name.empty() ? id : name),
          .driver = text_at(json, "/Driver"),
          .is_running = json.is_object() && json.value(kRunning, Json()) == Json(true)};
}

// Beside the file, with its owner and mode; its data is on the way to the disk.
void write_beside(int root, const std::string& path, const std::string& content,
                  const Commit& commit) {
  const struct stat old = sys::fstatat(root, path);
  const std::string beside = path + sys::kUnfinished;
  const UniqueFd file = sys::openat(root, beside, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
  sys::fchown(file.get(), old.st_uid, old.st_gid);
  sys::fchmod(file.get(), old.st_mode & 07777);
  with_context("write " + quoted(beside), [&] {
    sys::write_full(file.get(), std::as_bytes(std::span(content)));
    if (commit.needs_data()) commit.finish_writing(file.get());
  });
}

}  // namespace

EngineData::EngineData(const std::filesystem::path& root) {
  fd_ = sys::openat(AT_FDCWD, root, O_RDONLY | O_DIRECTORY);
  root_ = std::filesystem::canonical(root);
  if (sys::try_fstatat(fd_.get(), kContainers) && sys::try_fstatat(fd_.get(), "image")) return;
  throw Error(ErrorKind::NotFound, quoted(root.native()) +
                                       " is no data root of an engine: it lacks 'containers' or "
                                       "'image'" +
                                       hint_at_remapped_root());
}

UniqueFd EngineData::lock() const {
  UniqueFd file = sys::openat(fd_.get(), kLocked, O_RDWR | O_NOFOLLOW);
  if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0) return file;
  if (errno != EWOULDBLOCK) throw_errno("lock", kLocked);
  throw Error(ErrorKind::Busy,
              "an engine is running on " + quoted(root_.native()) + ", or another move");
}

std::vector<EngineContainer> EngineData::containers() const {
  std::vector<EngineContainer> all;
  for (const std::string& id : directories_in(fd_.get(), kContainers)) {
    const auto config = sys::try_read_file(fd_.get(), config_of(id), kMaxConfig);
    all.push_back(describe(id, config.value_or("")));
  }
  return all;
}

size_t EngineData::change_driver(const std::string& from, const std::string& to,
                                 const Commit& commit) const {
  std::vector<std::string> changed;
  for (const std::string& id : directories_in(fd_.get(), kContainers)) {
    const std::string path = config_of(id);
    sys::unlinkat(fd_.get(), path + sys::kUnfinished, 0);
    const auto config = sys::try_read_file(fd_.get(), path, kMaxConfig);
    if (!config || text_at(parse(*config), "/Driver") != from) continue;
    const auto edited = with_string_member(*config, kDriver, to);
    if (!edited) throw Error(ErrorKind::Corrupt, "cannot change the driver in " + quoted(path));
    write_beside(fd_.get(), path, *edited, commit);
    changed.push_back(path);
  }
  if (changed.empty()) return 0;
  commit.before_showing(fd_.get());
  for (const std::string& path : changed) {
    sys::renameat(fd_.get(), path + sys::kUnfinished, fd_.get(), path);
  }
  const std::string last = std::filesystem::path(changed.back()).parent_path();
  commit(sys::open_directory(fd_.get(), last).get());
  return changed.size();
}

Holds EngineData::image_database(const std::string& path) const {
  if (!sys::try_fstatat(fd_.get(), path)) return Holds::Absent;
  const bool has_images = has_grandchildren(fd_.get(), path + "/imagedb/content");
  const bool has_layers = has_grandchildren(fd_.get(), path + "/layerdb", "tmp");
  return has_images || has_layers ? Holds::Something : Holds::Nothing;
}

Holds EngineData::home(const std::string& path) const {
  if (!sys::try_fstatat(fd_.get(), path)) return Holds::Absent;
  for (const sys::DirEntry& entry : entries_of(fd_.get(), path)) {
    const bool is_structure = entry.name == layout::kLinkDirectory ||
                              entry.name == layout::kOwnDirectory || entry.name == kDeviceNode;
    if (!is_structure) return Holds::Something;
  }
  return Holds::Nothing;
}

std::vector<std::string> EngineData::plugin_homes(const std::string& driver) const {
  std::vector<std::string> homes;
  for (const std::string& id : directories_in(fd_.get(), kPlugins)) {
    const std::string directory = std::string(kPlugins) + "/" + id;
    const auto config = sys::try_read_file(fd_.get(), directory + "/config.json", kMaxConfig);
    if (!config || text_at(parse(*config), "/plugin/Name") != driver) continue;
    homes.push_back(directory + "/propagated-mount/" + driver);
  }
  return homes;
}

std::string EngineData::hint_at_remapped_root() const {
  for (const std::string& name : directories_in(fd_.get(), ".")) {
    const bool is_pair = std::ranges::count(name, '.') == 1 &&
                         name.find_first_not_of("0123456789.") == std::string::npos;
    if (is_pair) {
      return "; with remapped users the data root is " + quoted((root_ / name).native());
    }
  }
  return {};
}

}  // namespace overlayd
