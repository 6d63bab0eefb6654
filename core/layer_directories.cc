// SPDX-License-Identifier: Apache-2.0
#include "core/layer_directories.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>
#include <iterator>
#include <utility>
#include <vector>

#include "core/acl.h"
#include "core/beneath.h"
#include "core/error.h"
#include "core/layer_xattrs.h"
#include "core/sys.h"
#include "core/tar_header.h"
#include "core/whiteout.h"
#include "core/xattr.h"

namespace overlayd {
namespace {

/// As many as the kernel follows in one path (path_resolution(7)).
constexpr int kMaxSymlinks = 40;

/// Tars come in the order of a walk, so these are the way to the current directory, mostly.
constexpr size_t kMaxOpen = 16;

constexpr mode_t kImpliedMode = 0755;  // what Docker gives a directory that no layer describes

std::deque<std::string> components(const std::string& path) {
  std::deque<std::string> parts;
  for (size_t start = 0; start < path.size();) {
    const size_t end = std::min(path.find('/', start), path.size());
    parts.push_back(path.substr(start, end - start));
    start = end + 1;
  }
  return parts;
}

/// The components still to go, the path's own and those that symlinks on it have added.
class Remaining {
 public:
  explicit Remaining(const std::string& path) : parts_(components(path)), own_(parts_.size()) {}

  bool empty() const { return parts_.empty(); }

  std::string pop() {
    std::string part = std::move(parts_.front());
    parts_.pop_front();
    from_symlink_ = parts_.size() >= own_;
    own_ = std::min(own_, parts_.size());
    return part;
  }

  /// Whether the component popped last came from a symlink.
  bool from_symlink() const { return from_symlink_; }

  void follow(const std::string& target) {
    if (++symlinks_ > kMaxSymlinks) throw SysError(ELOOP, "follow symlink to " + quoted(target));
    const std::deque<std::string> parts = components(target);
    parts_.insert(parts_.begin(), parts.begin(), parts.end());
  }

 private:
  std::deque<std::string> parts_;
  size_t own_;  // how many at the end of parts_ are the path's
  bool from_symlink_ = false;
  int symlinks_ = 0;
};

std::string path_below(const std::string& directory, std::string_view name) {
  std::string path = directory;
  if (!path.empty()) path += '/';
  return path += name;
}

size_t length_below(const std::string& directory, std::string_view name) {
  return directory.empty() ? name.size() : directory.size() + 1 + name.size();
}

/// Diff could not send what is longer.
void check_length(size_t length) {
  if (length <= kMaxTarName) return;
  throw Error(ErrorKind::BadArchive, "its path with symlinks resolved is longer than " +
                                         std::to_string(kMaxTarName) +
                                         " bytes, more than a layer tar can name");
}

void set_times(int fd, const std::array<timespec, 2>& times) {
  if (::futimens(fd, times.data()) != 0) throw_errno([] { return "set the times of a directory"; });
}

void set_mtime(int fd, const timespec& mtime) { set_times(fd, {timespec{0, UTIME_OMIT}, mtime}); }

/// Making a directory changes the times of the one around it, which are the tar's business. What it
/// inherits of that one's ACLs goes: a layer has those that it was given.
UniqueFd make_directory(int parent, const std::string& name) {
  const timespec around = sys::fstat(parent).st_mtim;
  if (!sys::mkdirat(parent, name, 0700)) throw SysError(EEXIST, "make directory " + quoted(name));
  set_mtime(parent, around);
  UniqueFd made = sys::open_directory(parent, name);
  xattr::remove({made.get(), ""}, acl::kAccessXattr);
  xattr::remove({made.get(), ""}, acl::kDefaultXattr);
  return made;
}

void copy_xattrs(const MergedDir::Entry& from, int to) {
  const xattr::At source{from.dirfd(), from.name()};
  for (const std::string& name : xattr::list(source)) {
    if (is_overlay_xattr(name)) continue;  // about the lower directory, not its copy
    if (const auto value = xattr::get(source, name.c_str()))
      xattr::set({to, ""}, name.c_str(), *value);
  }
}

void copy_metadata(const MergedDir::Entry& from, int to) {
  sys::fchown(to, from.info().st_uid, from.info().st_gid);
  copy_xattrs(from, to);
  sys::fchmod(to, from.info().st_mode & 07777);
  set_mtime(to, from.info().st_mtim);
}

}  // namespace

LayerDirectories::LayerDirectories(int root, const IdMaps& maps, OpenLower open_lower)
    : root_(root), maps_(maps), open_lower_(std::move(open_lower)), gid_(::getegid()) {}

int LayerDirectories::enter(const std::string& path) {
  if (std::exchange(stale_, false)) leave();
  if (added_ && added_->as.path == path) {
    go_to(open_added(), path);
  } else {
    pass_over_added();
    if (open_.empty() || path != path_) {
      const auto next = find_open(path);
      go_to(next == open_.end() ? open(path) : next, path);
    }
  }
  return open_.front().fd.get();
}

LayerDirectories::Place LayerDirectories::enter_for_file(const std::string& path,
                                                         const std::string& name) {
  if (stale_ || !added_ || added_->as.path != path) return {enter(path), name};
  added_->is_entered = true;
  return {open_.front().fd.get(), path_below(added_->name, name)};
}

void LayerDirectories::go_to(OpenList::iterator next, const std::string& path) {
  open_.splice(open_.begin(), open_, next);
  path_ = path;
}

// A path without symlinks, if it is found: `path` may have some.
LayerDirectories::OpenList::iterator LayerDirectories::find_open(const std::string& path) {
  return std::ranges::find(open_, path, &Open::path);
}

LayerDirectories::OpenList::iterator LayerDirectories::open(const std::string& path) {
  auto end = find_own(path);
  if (!end) end = walk(path, lower_root(), Missing::Make);
  if (const auto known = find_open(end->path); known != open_.end()) return known;
  return keep(as_it_is(*std::move(end)));
}

LayerDirectories::OpenList::iterator LayerDirectories::open_added() {
  Added added = *std::exchange(added_, std::nullopt);
  added.as.fd = sys::open_directory(open_.front().fd.get(), added.name);
  return keep(std::move(added.as));
}

void LayerDirectories::pass_over_added() {
  if (!added_) return;
  const Added added = *std::exchange(added_, std::nullopt);
  if (::utimensat(open_.front().fd.get(), added.name.c_str(), added.as.times.data(),
                  AT_SYMLINK_NOFOLLOW) != 0) {
    throw_errno("set the times of", added.name);
  }
}

LayerDirectories::OpenList::iterator LayerDirectories::keep(Open directory) {
  if (open_.size() == kMaxOpen) close_oldest();
  return open_.insert(open_.begin(), std::move(directory));
}

void LayerDirectories::close_oldest() {
  set_times(open_.back().fd.get(), open_.back().times);
  open_.pop_back();
}

LayerDirectories::Open LayerDirectories::as_it_is(Step step) const {
  const struct stat info = sys::fstat(step.own.get());
  const bool has_default_acl = xattr::get({step.own.get(), ""}, acl::kDefaultXattr).has_value();
  return {.fd = std::move(step.own),
          .path = std::move(step.path),
          .times = {timespec{0, UTIME_OMIT}, info.st_mtim},
          .has_default_acl = has_default_acl,
          .gid = info.st_gid,
          .is_set_gid = (info.st_mode & S_ISGID) != 0};
}

void LayerDirectories::add(const std::string& name, const Given& given) {
  added_ = Added{.name = name,
                 .as = {.fd = {},
                        .path = path_below(open_.front().path, name),
                        .times = {given.mtime, given.mtime},  // layer tars carry no atime
                        .has_default_acl = given.has_default_acl,
                        .gid = given.gid,
                        .is_set_gid = given.is_set_gid}};
  if (const auto old = find_open(added_->as.path); old != open_.end()) open_.erase(old);
}

void LayerDirectories::check_name(std::string_view name) const {
  check_length(length_below(current().path, name));
}

void LayerDirectories::leave() {
  pass_over_added();
  while (!open_.empty()) close_oldest();
}

std::string LayerDirectories::path_of(const std::string& name) const {
  return path_below(current().path, name);
}

std::optional<LayerDirectories::Found> LayerDirectories::find(const std::string& path) {
  if (const auto known = find_open(path); known != open_.end()) {
    return Found{known->fd.get(), known->path};
  }
  auto end = find_own(path);
  if (!end) end = walk(path, lower_root(), Missing::Stop);
  if (!end) return std::nullopt;
  found_ = std::move(end->own);
  return Found{found_.get(), std::move(end->path)};
}

// Nearly always the tar has named the directory before, by its real path; sometimes by one with
// symlinks of its own. The layers below are looked at for what is left: they may be many.
std::optional<LayerDirectories::Step> LayerDirectories::find_own(const std::string& path) {
  UniqueFd found = try_open_directory_beneath(root_, path);
  if (found) return Step{std::move(found), nullptr, path};
  return walk(path, nullptr, Missing::Stop);
}

std::shared_ptr<const MergedDir> LayerDirectories::lower_root() {
  if (!lower_root_ && open_lower_) lower_root_ = std::make_shared<const MergedDir>(open_lower_());
  return lower_root_;
}

// One component at a time, in this layer and in `lower` together. Every step opens one name without
// following it, so there is nothing to escape through; ".." goes back to the step before. nullopt
// only with Missing::Stop.
std::optional<LayerDirectories::Step> LayerDirectories::walk(const std::string& path,
                                                             std::shared_ptr<const MergedDir> lower,
                                                             Missing missing) {
  std::vector<Step> steps;
  steps.push_back({sys::openat(root_, ".", O_RDONLY | O_DIRECTORY), std::move(lower)});
  Remaining rest(path);
  while (!rest.empty()) {
    const std::string name = rest.pop();
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      if (steps.size() > 1) steps.pop_back();
      continue;
    }
    if (const auto target = symlink_at(steps.back(), name)) {
      if (target->starts_with('/')) steps.erase(steps.begin() + 1, steps.end());
      rest.follow(*target);
      continue;
    }
    // Directories that only a symlink names are not made: it would be as if it led somewhere.
    const Missing here =
        rest.from_symlink() && missing == Missing::Make ? Missing::Refuse : missing;
    auto next = step(steps.back(), name, here);
    if (!next) return std::nullopt;
    next->path = path_below(steps.back().path, name);
    steps.push_back(*std::move(next));
  }
  return std::move(steps.back());
}

// Where `name` leads, if it is a symlink in the finished layer.
std::optional<std::string> LayerDirectories::symlink_at(const Step& at, const std::string& name) {
  if (const auto own = sys::try_fstatat(at.own.get(), name)) {
    if (!S_ISLNK(own->st_mode)) return std::nullopt;
    return sys::readlinkat(at.own.get(), name);
  }
  const auto below = at.lower ? at.lower->find(name) : std::nullopt;
  if (!below || !S_ISLNK(below->type())) return std::nullopt;
  return sys::readlinkat(below->dirfd(), name);
}

// nullopt only with Missing::Stop.
std::optional<LayerDirectories::Step> LayerDirectories::step(const Step& at,
                                                             const std::string& name,
                                                             Missing missing) {
  const auto own = sys::try_fstatat(at.own.get(), name);
  if (own && S_ISDIR(own->st_mode)) return step_into_own(at, name);
  if (missing == Missing::Stop) return std::nullopt;
  if (own && whiteout::is_whiteout(*own)) return step_into_deleted(at, name);
  if (own) throw Error(ErrorKind::BadArchive, "parent " + quoted(name) + " is not a directory");
  const auto below = at.lower ? at.lower->find(name) : std::nullopt;
  const bool is_there = below && below->is_directory();
  if (missing == Missing::Refuse && !is_there) {
    throw Error(ErrorKind::BadArchive,
                "a parent is a symlink to " + quoted(name) + ", which is not there");
  }
  return step_into_new(at, name, below);
}

LayerDirectories::Step LayerDirectories::step_into_own(const Step& at, const std::string& name) {
  Step next{sys::open_directory(at.own.get(), name), nullptr};
  if (!at.lower || whiteout::is_opaque({next.own.get(), ""})) return next;
  const auto below = at.lower->find(name);
  if (below && below->is_directory()) {
    next.lower = std::make_shared<const MergedDir>(at.lower->open(*below));
  }
  return next;
}

// Deleted, then made anew without saying so: what was deleted must not shine through.
LayerDirectories::Step LayerDirectories::step_into_deleted(const Step& at,
                                                           const std::string& name) {
  const timespec around = sys::fstat(at.own.get()).st_mtim;
  check_length(length_below(at.path, name + "/" + std::string(whiteout::kOpaqueMarker)));
  has_removed_ |= sys::unlinkat(at.own.get(), name, 0);
  Step next = step_into_new(at, name, std::nullopt);
  whiteout::set_opaque({next.own.get(), ""});
  set_mtime(at.own.get(), around);
  return next;
}

// Like the directory below, if there is one; a plain one otherwise.
LayerDirectories::Step LayerDirectories::step_into_new(
    const Step& at, const std::string& name, const std::optional<MergedDir::Entry>& below) {
  check_length(length_below(at.path, name + "/"));
  Step next{make_directory(at.own.get(), name), nullptr};
  if (below && below->is_directory()) {
    copy_metadata(*below, next.own.get());
    next.lower = std::make_shared<const MergedDir>(at.lower->open(*below));
  } else {
    sys::fchown(next.own.get(), maps_.root_uid(), maps_.root_gid());
    sys::fchmod(next.own.get(), kImpliedMode);
  }
  return next;
}

}  // namespace overlayd
