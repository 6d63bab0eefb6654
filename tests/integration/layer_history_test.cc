// SPDX-License-Identifier: Apache-2.0
//
// Random histories of layers, written through real mounts as a container would, and then everything
// that can be said twice is said twice: by the store and by the kernel's own overlay, by the store
// and by GNU tar, by the store and by a naive comparison of two trees.
//
//   OVERLAYD_HISTORIES=5000      how many in each case; 150 without it
//   OVERLAYD_HISTORY_SEED=77     the first one's seed, the others' follow; a case's own without it
//
// scripts/histories runs a great many.
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <random>
#include <set>

#include <doctest/doctest.h>

#include "core/store_survey.h"
#include "core/sys.h"
#include "core/tar_reader.h"
#include "tests/integration/store_fixture.h"
#include "tests/support/tree_dump.h"

namespace overlayd::test {
namespace {

constexpr uint32_t kMapBase = 100000;

uint64_t number_from_environment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// ------------------------------------------------------------------------------- what a layer does

/// Does to a mounted layer what programs do to their root file system. What the kernel refuses
/// (EXDEV for a directory of a lower layer, ENOTEMPTY, …) is not done, as programs have to live
/// with that too.
class Program {
 public:
  Program(std::mt19937_64& random, int root, uint32_t first_id)
      : random_(random), root_(root), first_id_(first_id) {}

  void run(size_t steps) {
    for (size_t i = 0; i < steps; ++i) step();
  }

 private:
  struct Place {
    UniqueFd dir;
    std::string name;
  };

  uint64_t pick(uint64_t count) { return random_() % count; }
  bool chance(unsigned percent) { return pick(100) < percent; }

  std::string any_name() {
    // Few, so that they meet again; with odd ones that sort around '/' and '.'.
    static const std::array<std::string, 10> kNames = {"a",  "b",   "c", "d",         "-e",
                                                       "a-", "a.b", "~", "\xff\xfe ", "long"};
    const std::string& name = kNames[pick(kNames.size())];
    return name == "long" ? std::string(120, 'n') : name;
  }

  Place any_place() {
    Place place{sys::openat(root_, ".", O_RDONLY | O_DIRECTORY), any_name()};
    while (chance(60)) {
      UniqueFd inner(::openat(place.dir.get(), place.name.c_str(),
                              O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!inner) break;
      place = {std::move(inner), any_name()};
    }
    return place;
  }

  static std::string path_of(const Place& place) {
    return sys::fd_path(place.dir.get()) + "/" + place.name;
  }

  static std::optional<struct stat> info_of(const Place& place) {
    return sys::try_fstatat(place.dir.get(), place.name);
  }

  void step() {
    const Place place = any_place();
    switch (pick(22)) {
      case 0:
      case 1:
      case 2: return write(place, O_TRUNC);
      case 3: return write(place, O_APPEND);
      case 4:
      case 5:
      case 6: return make_directory(place);
      case 7:
      case 8: return remove(place);
      case 9: remove(place); return make_directory(place);
      case 10: remove(place); return make_anything(place);
      case 11:
      case 12: return change_mode(place);
      case 13: return change_owner(place);
      case 14:
      case 15: return touch(place);
      case 16:
      case 17: return rename(place);
      case 18: return link(place);
      case 19: return set_xattr(place);
      case 20: return exchange(place);
      default: return make_anything(place);
    }
  }

  void write(const Place& place, int how) {
    const auto info = info_of(place);
    if (info && !S_ISREG(info->st_mode)) return;
    const UniqueFd fd(::openat(place.dir.get(), place.name.c_str(),
                               O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC | how, 0644));
    if (!fd) return;
    if (!info) sys::fchown(fd.get(), first_id_, first_id_);
    const size_t size = chance(5) ? 70000 + pick(1000) : pick(300);
    std::string content(size, static_cast<char>('a' + pick(26)));
    sys::write_full(fd.get(), as_bytes(content));
    if (chance(10) && ::ftruncate(fd.get(), static_cast<off_t>(pick(2000))) != 0) return;
  }

  void make_directory(const Place& place) {
    const std::array<mode_t, 4> modes = {0755, 0700, 01777, 02775};
    if (::mkdirat(place.dir.get(), place.name.c_str(), modes[pick(4)]) != 0) return;
    const UniqueFd inside =
        sys::openat(place.dir.get(), place.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    sys::fchown(inside.get(), first_id_, first_id_);
    while (chance(40)) {
      write({sys::openat(inside.get(), ".", O_RDONLY | O_DIRECTORY), any_name()}, O_TRUNC);
    }
  }

  void make_anything(const Place& place) {
    const int dir = place.dir.get();
    const char* name = place.name.c_str();
    int result = 0;
    switch (pick(5)) {
      case 0: {
        const std::array<const char*, 4> targets = {"a", "../b/c", "/etc/passwd", "dangling \xff"};
        result = ::symlinkat(targets[pick(4)], dir, name);
        break;
      }
      case 1: result = ::mknodat(dir, name, S_IFIFO | 0620, 0); break;
      case 2:
        result =
            ::mknodat(dir, name, S_IFCHR | 0666, makedev(1, 3 + static_cast<unsigned>(pick(2))));
        break;
      case 3: result = ::mknodat(dir, name, S_IFBLK | 0660, makedev(7, 300)); break;
      default: return write(place, O_TRUNC);
    }
    if (result == 0) change_owner(place);
  }

  void remove(const Place& place) { sys::remove_tree(place.dir.get(), place.name); }

  void change_mode(const Place& place) {
    const auto info = info_of(place);
    if (!info || S_ISLNK(info->st_mode)) return;
    const std::array<mode_t, 7> modes = {0644, 0600, 04755, 02711, 01777, 0, 0777};
    REQUIRE(::fchmodat(place.dir.get(), place.name.c_str(), modes[pick(7)], 0) == 0);
  }

  void change_owner(const Place& place) {
    if (!info_of(place)) return;
    const auto id = [&] { return first_id_ + static_cast<uint32_t>(pick(2) * pick(60000)); };
    REQUIRE(::fchownat(place.dir.get(), place.name.c_str(), id(), id(), AT_SYMLINK_NOFOLLOW) == 0);
  }

  void touch(const Place& place) {
    if (!info_of(place)) return;
    timespec time{static_cast<time_t>(pick(2000000000)), 0};
    if (chance(10)) time.tv_sec = -5;
    if (chance(50)) time.tv_nsec = static_cast<long>(pick(1000000000));
    const std::array<timespec, 2> times = {time, time};
    REQUIRE(::utimensat(place.dir.get(), place.name.c_str(), times.data(), AT_SYMLINK_NOFOLLOW) ==
            0);
  }

  void rename(const Place& from) {
    const Place to = any_place();
    ::renameat(from.dir.get(), from.name.c_str(), to.dir.get(), to.name.c_str());
  }

  void exchange(const Place& from) {
    const Place to = any_place();
    ::renameat2(from.dir.get(), from.name.c_str(), to.dir.get(), to.name.c_str(), RENAME_EXCHANGE);
  }

  void link(const Place& from) {
    Place to = any_place();
    // May fail, as every step of a history may; the outcome is what both sides are compared by.
    static_cast<void>(
        ::linkat(from.dir.get(), from.name.c_str(), to.dir.get(), to.name.c_str(), 0) == 0);
  }

  void set_xattr(const Place& place) {
    const auto info = info_of(place);
    if (!info || !(S_ISREG(info->st_mode) || S_ISDIR(info->st_mode))) return;
    const std::string path = path_of(place);
    if (chance(20)) {
      ::lremovexattr(path.c_str(), "user.note");
    } else if (S_ISDIR(info->st_mode) || chance(50)) {
      const std::string value(pick(40), static_cast<char>(pick(256)));
      REQUIRE(::lsetxattr(path.c_str(), "user.note", value.data(), value.size(), 0) == 0);
    } else {
      set_capability(path);
    }
  }

  void set_capability(const std::string& path) {
    std::string value(XATTR_CAPS_SZ_2, '\0');
    value[0] = 1;
    value[3] = VFS_CAP_REVISION_2 >> VFS_CAP_REVISION_SHIFT;
    value[5] = static_cast<char>(1 << pick(8));
    if (first_id_ != 0) {  // as the kernel writes it for a container's root
      value[3] = VFS_CAP_REVISION_3 >> VFS_CAP_REVISION_SHIFT;
      for (int shift = 0; shift < 32; shift += 8) value += static_cast<char>(first_id_ >> shift);
    }
    REQUIRE(::lsetxattr(path.c_str(), "security.capability", value.data(), value.size(), 0) == 0);
  }

  std::mt19937_64& random_;
  int root_;
  uint32_t first_id_;
};

// ------------------------------------------------------------------------------- independent words

/// Sorts as a tar does: a directory before what is in it, names in byte order.
std::string place_in_tar(const Change& change) {
  std::string key = change.path;
  std::ranges::replace(key, '/', '\0');
  return key;
}

/// docker diff by comparing two trees, as core/layer_diff.h words it.
class NaiveComparison {
 public:
  static std::vector<Change> run(int now, std::optional<int> before) {
    NaiveComparison comparison;
    comparison.compare("/", now, before);
    std::ranges::sort(comparison.changes_, {}, &place_in_tar);
    return std::move(comparison.changes_);
  }

 private:
  using Names = std::set<std::string>;

  static Names names_in(int dir) {
    Names names;
    for (const auto& entry : sys::list_directory(dir)) names.insert(entry.name);
    return names;
  }

  static UniqueFd open_dir(int at, const std::string& name) {
    return sys::openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  }

  bool compare(const std::string& prefix, int now, std::optional<int> before) {
    const Names new_names = names_in(now);
    const Names old_names = before ? names_in(*before) : Names();
    bool changed = false;
    for (const std::string& name : new_names) {
      const bool existed = old_names.contains(name);
      bool modified = !existed || differ(now, *before, name);
      if (S_ISDIR(sys::fstatat(now, name).st_mode)) {
        const UniqueFd now_inside = open_dir(now, name);
        std::optional<int> old_inside;
        UniqueFd old_fd;
        if (existed && S_ISDIR(sys::fstatat(*before, name).st_mode)) {
          old_fd = open_dir(*before, name);
          old_inside = old_fd.get();
        }
        modified |= compare(prefix + name + "/", now_inside.get(), old_inside);
      }
      if (modified)
        changes_.push_back({prefix + name, existed ? ChangeKind::Modify : ChangeKind::Add});
      changed |= modified;
    }
    for (const std::string& name : old_names) {
      if (new_names.contains(name)) continue;
      changes_.push_back({prefix + name, ChangeKind::Delete});
      changed = true;
    }
    return changed;
  }

  static std::string capability(int dir, const std::string& name) {
    std::array<char, 64> value{};
    const std::string path = sys::fd_path(dir) + "/" + name;
    const ssize_t size =
        ::lgetxattr(path.c_str(), "security.capability", value.data(), value.size());
    return size < 0 ? "none" : std::string(value.data(), static_cast<size_t>(size));
  }

  static bool differ(int now, int before, const std::string& name) {
    const struct stat a = sys::fstatat(now, name);
    const struct stat b = sys::fstatat(before, name);
    if (a.st_mode != b.st_mode || a.st_uid != b.st_uid || a.st_gid != b.st_gid) return true;
    if (a.st_rdev != b.st_rdev || capability(now, name) != capability(before, name)) return true;
    if (S_ISDIR(a.st_mode)) return false;
    const bool same_second = a.st_mtim.tv_sec == b.st_mtim.tv_sec;
    const bool coarse = a.st_mtim.tv_nsec == 0 || b.st_mtim.tv_nsec == 0;
    return a.st_size != b.st_size || !same_second ||
           (!coarse && a.st_mtim.tv_nsec != b.st_mtim.tv_nsec);
  }

  std::vector<Change> changes_;
};

std::string text_of(const std::vector<Change>& changes) {
  std::string text;
  for (const Change& change : changes) {
    text += "CAD"[static_cast<int>(change.kind)];
    text += " " + change.path + "\n";
  }
  return text;
}

/// What diff_size promises, counted from the tar.
int64_t size_by_tar(const std::string& tar) {
  StringSource source(tar);
  TarReader reader(source);
  int64_t size = 0;
  while (const auto entry = reader.next()) {
    if (entry->type == TarType::Regular) size += static_cast<int64_t>(entry->size);
    if (entry->type == TarType::Symlink) size += static_cast<int64_t>(entry->link_name.size());
  }
  return size;
}

/// The tree with mtimes in whole seconds. The root's own attributes are not a layer's to say.
std::string tree_in_seconds(int dir) {
  std::string text;
  for (const std::string& line : tree_dump(dir, {.mtimes = true})) {
    if (line.starts_with(".: ")) continue;
    const size_t time = line.rfind(" mtime=");
    text += time == std::string::npos ? line : line.substr(0, line.find('.', time));
    text += '\n';
  }
  return text;
}

/// As an engine would unpack it, by a program that is not ours.
void extract_with_gnu_tar(const std::string& tar, const std::string& directory) {
  std::array<int, 2> ends{};
  REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
  const UniqueFd from(ends[0]);
  UniqueFd to(ends[1]);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::dup2(from.get(), STDIN_FILENO);
    ::execlp("tar", "tar", "-xpf", "-", "-C", directory.c_str(), "--numeric-owner", "--same-owner",
             "--xattrs", "--xattrs-include=*", "--warning=no-timestamp", nullptr);
    ::_exit(127);
  }
  sys::write_full(to.get(), as_bytes(tar));
  to.reset();
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  REQUIRE(WEXITSTATUS(status) == 0);
}

// ------------------------------------------------------------------------------------- the
// property

struct HistorySandbox : StoreSandbox {
  void check(uint64_t seed) {
    random.seed(seed);
    depth = 1 + random() % 5;
    build_chain();
    for (size_t at = 0; at < depth; ++at) check_layer(at);
    CHECK(survey_store(home().get()).findings.empty());
    remove_everything();
  }

  void build_chain() {
    for (size_t at = 0; at < depth; ++at) {
      create(original(at), at == 0 ? "" : original(at - 1));
      const UniqueFd root = sys::open_path_dir(AT_FDCWD, get(original(at)));
      Program(random, root.get(), first_id()).run(5 + random() % 40);
      put(original(at));
    }
  }

  void check_layer(size_t at) {
    CAPTURE(at);
    const Held now(*this, original(at));
    const std::string truth = tree_in_seconds(now.fd());
    // The same chain again, each layer from the tar of its original.
    rebuild(at, truth);
    check_against(at, std::nullopt, now.fd(), truth);
    for (size_t below = 0; below < at; ++below) check_against(at, below, now.fd(), truth);
    if (first_id() == 0) check_with_gnu_tar(diff(original(at)), truth);
  }

  void rebuild(size_t at, const std::string& truth) {
    const std::string parent = at == 0 ? "" : original(at - 1);
    const std::string tar = diff(original(at), parent);
    create(rebuilt(at), at == 0 ? "" : rebuilt(at - 1));
    CHECK(apply(rebuilt(at), tar, at == 0 ? "" : rebuilt(at - 1)) ==
          diff_size(original(at), parent));
    // Not mounted before: what ApplyDiff made is all there is.
    CHECK(diff(rebuilt(at), at == 0 ? "" : rebuilt(at - 1)) == tar);
    CHECK(text_of(changes(rebuilt(at), at == 0 ? "" : rebuilt(at - 1))) ==
          text_of(changes_in_seconds(at)));
    const Held copy(*this, rebuilt(at));
    CHECK(tree_in_seconds(copy.fd()) == truth);
  }

  /// What the rebuilt chain should say has changed: nanoseconds are lost, so a change that only
  /// they told is lost as well.
  std::vector<Change> changes_in_seconds(size_t at) {
    const Held now(*this, rebuilt(at));
    if (at == 0) return NaiveComparison::run(now.fd(), std::nullopt);
    const Held before(*this, rebuilt(at - 1));
    return NaiveComparison::run(now.fd(), before.fd());
  }

  void check_against(size_t at, std::optional<size_t> below, int now, const std::string& truth) {
    CAPTURE(below.value_or(999));
    const std::string parent = below ? original(*below) : "";
    const std::string tar = diff(original(at), parent);
    CHECK(diff(original(at), parent) == tar);
    const int64_t size = diff_size(original(at), parent);
    CHECK(size == size_by_tar(tar));

    std::optional<Held> before;
    if (below) before.emplace(*this, parent);
    CHECK(text_of(changes(original(at), parent)) ==
          text_of(NaiveComparison::run(now, before ? std::optional(before->fd()) : std::nullopt)));

    const std::string base = below ? rebuilt(*below) : "";
    create("squashed", base);
    CHECK(apply("squashed", tar, base) == size);
    {
      const Held squashed(*this, "squashed");
      CHECK(tree_in_seconds(squashed.fd()) == truth);
    }
    remove("squashed");
  }

  void check_with_gnu_tar(const std::string& tar, const std::string& truth) {
    sys::mkdirat(fd(), "plain", 0755);
    extract_with_gnu_tar(tar, path() + "/plain");
    CHECK(tree_in_seconds(sys::open_path_dir(fd(), "plain").get()) == truth);
    sys::remove_tree(fd(), "plain");
  }

  /// A get() until the end of a block.
  class Held {
   public:
    Held(HistorySandbox& box, std::string id)
        : box_(box), id_(std::move(id)), fd_(sys::open_path_dir(AT_FDCWD, box_.get(id_))) {}
    ~Held() {
      fd_.reset();
      CHECK(error_of([&] { box_.put(id_); }).empty());
    }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;
    int fd() const { return fd_.get(); }

   private:
    HistorySandbox& box_;
    std::string id_;
    UniqueFd fd_;
  };

  static std::string original(size_t at) { return "original-" + std::to_string(at); }
  static std::string rebuilt(size_t at) { return "rebuilt-" + std::to_string(at); }
  uint32_t first_id() const { return config.id_maps.root_uid(); }

  std::mt19937_64 random;
  size_t depth = 0;
};

void check_histories(HistorySandbox& box, uint64_t default_seed) {
  box.open();
  const uint64_t first = number_from_environment("OVERLAYD_HISTORY_SEED", default_seed);
  const uint64_t count = number_from_environment("OVERLAYD_HISTORIES", 150);
  for (uint64_t seed = first; seed < first + count; ++seed) {
    INFO("seed " << seed);
    box.check(seed);
  }
}

TEST_SUITE("layer_history") {
  TEST_CASE_FIXTURE(HistorySandbox, "random histories look the same by every way to tell them") {
    check_histories(*this, 1);
  }

  TEST_CASE_FIXTURE(HistorySandbox, "random histories in a remapped store look the same too") {
    config.id_maps.uids = IdMap({{0, kMapBase, 65536}});
    config.id_maps.gids = IdMap({{0, kMapBase, 65536}});
    check_histories(*this, 1000001);
  }
}

}  // namespace
}  // namespace overlayd::test
