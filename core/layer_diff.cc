// SPDX-License-Identifier: Apache-2.0
#include "core/layer_diff.h"

#include <fcntl.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "core/capability.h"
#include "core/closing_fds.h"
#include "core/directory_walk.h"
#include "core/error.h"
#include "core/layer_xattrs.h"
#include "core/sys.h"
#include "core/tar_header.h"
#include "core/tar_writer.h"
#include "core/whiteout.h"
#include "core/write_behind.h"
#include "core/xattr.h"

namespace overlayd {
namespace {

using Entry = MergedDir::Entry;
using OptionalDir = std::optional<MergedDir>;
using Inode = std::pair<dev_t, ino_t>;

Inode inode_of(const struct stat& info) { return {info.st_dev, info.st_ino}; }

// The parent's directory at the place of an upper directory, if it has one there.
OptionalDir parent_directory(const OptionalDir& parent, const std::string& name) {
  if (!parent) return std::nullopt;
  const auto entry = parent->find(name);
  if (!entry || !entry->is_directory()) return std::nullopt;
  return parent->open(*entry);
}

// ------------------------------------------------------------------------------------------ tar

TarType tar_type(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG: return TarType::Regular;
    case S_IFDIR: return TarType::Directory;
    case S_IFLNK: return TarType::Symlink;
    case S_IFCHR: return TarType::CharDevice;
    case S_IFBLK: return TarType::BlockDevice;
    case S_IFIFO: return TarType::Fifo;
    default: throw Error(ErrorKind::Unsupported, "a file type that no tar can hold");
  }
}

uint32_t container_id(const IdMap& map, uint32_t host_id, const char* what) {
  if (const auto id = map.to_container(host_id)) return *id;
  throw Error(ErrorKind::InvalidArgument, std::string("owner ") + what + " " +
                                              std::to_string(host_id) +
                                              " on disk is outside the store's id map");
}

/// Containers can nest directories without end; tars cannot name them, and our stack cannot hold
/// them.
void check_length(size_t length) {
  if (length <= kMaxTarName) return;
  throw Error(ErrorKind::Unsupported, "its path is longer than " + std::to_string(kMaxTarName) +
                                          " bytes, more than a layer tar can name");
}

// From here on it pays to send a file by itself, which the kernel can do without copying it.
// Smaller ones are sent together, while the next are read.
constexpr uint64_t kLargeFile = 128 * uint64_t{1024};

class TarExport {
 public:
  TarExport(const DiffSource& source, const IdMaps& maps, WriteBehind& out)
      : source_(source), maps_(maps), out_(out), tar_(out) {}

  void run() {
    static const OptionalDir kNone;
    // The whiteouts of a single layer leave as they are, so the parent need not be looked at.
    walk("", source_.upper, source_.direct ? kNone : source_.parent, false);
    tar_.finish();
  }

  size_t sockets() const { return sockets_; }
  uint64_t entries() const { return entries_; }

 private:
  // Directory before content, names in byte order: Docker's order. `cut_off`: a directory above is
  // opaque, so nothing of the parent shows here.
  void walk(const std::string& prefix, const MergedDir& directory, const OptionalDir& parent,
            bool cut_off) {
    cut_off = cut_off || directory.opaque();
    for (const Entry& entry : directory.list()) {
      if (out_.has_failed()) return;
      const std::string path = prefix + entry.name();
      const OptionalDir inside =
          with_context([&] { return quoted(path); },
                       [&] { return write(path, directory, entry, parent, cut_off); });
      if (inside) walk(path + "/", *inside, parent_directory(parent, entry.name()), cut_off);
    }
  }

  // Writes one object; returns the directory to go on with, if it is one.
  OptionalDir write(const std::string& path, const MergedDir& directory, const Entry& entry,
                    const OptionalDir& parent, bool cut_off) {
    if (entry.is_whiteout()) {
      if (is_needed(entry, parent, cut_off)) write_whiteout(path, entry);
    } else if (entry.name().starts_with(whiteout::kPrefix)) {
      throw Error(ErrorKind::Unsupported,
                  "a name that begins with '.wh.' would be taken for a deletion in a layer tar");
    } else if (entry.is_directory()) {
      MergedDir inside = directory.open(entry);
      write_directory(path, inside);
      return inside;
    } else if (S_ISSOCK(entry.type())) {
      ++sockets_;  // means nothing without the process that bound it, and no tar type exists for it
    } else if (S_ISREG(entry.type())) {
      write_file(path, entry);
    } else {
      write_object(path, entry);
    }
    return std::nullopt;
  }

  void begin(const TarEntry& entry) {
    check_length(entry.name.size());
    tar_.begin(entry);
    ++entries_;
  }

  // A whiteout that hides nothing is worse than useless: overlayfs lists it in a directory that it
  // need not merge, and then has no such file.
  bool is_needed(const Entry& whiteout, const OptionalDir& parent, bool cut_off) const {
    return source_.direct || (!cut_off && parent && parent->find(whiteout.name()));
  }

  TarEntry header(std::string name, const struct stat& info) const {
    TarEntry out;
    out.name = std::move(name);
    out.type = tar_type(info.st_mode);
    out.mode = info.st_mode & 07777;
    out.uid = container_id(maps_.uids, info.st_uid, "uid");
    out.gid = container_id(maps_.gids, info.st_gid, "gid");
    out.mtime.seconds = info.st_mtim.tv_sec;  // whole seconds, as Docker writes them
    return out;
  }

  void add_xattrs(TarEntry& out, xattr::At file) const { add_xattrs(out, file, xattr::list(file)); }

  void add_xattrs(TarEntry& out, xattr::At file, const std::vector<std::string>& names) const {
    for (const std::string& name : names) {
      if (name == whiteout::kMetacopyXattr) {
        throw Error(
            ErrorKind::Unsupported,
            "this file was copied up under overlay's metacopy=on; its data is in another layer");
      }
      if (!is_carried_xattr(name)) continue;
      const auto value = xattr::get(file, name.c_str());
      if (!value) continue;  // removed meanwhile
      out.xattrs[name] = xattr_for_tar(name, *value, maps_);
    }
  }

  void write_whiteout(const std::string& path, const Entry& entry) {
    TarEntry out;
    const size_t slash = path.size() - entry.name().size();
    out.name = path.substr(0, slash) + whiteout::marker_for(entry.name());
    out.mode = 0600;
    // The kernel makes whiteouts as host root, whom a map need not know.
    out.uid = maps_.uids.to_container(entry.info().st_uid).value_or(0);
    out.gid = maps_.gids.to_container(entry.info().st_gid).value_or(0);
    out.mtime.seconds = entry.info().st_mtim.tv_sec;
    begin(out);
  }

  void write_directory(const std::string& path, const MergedDir& directory) {
    TarEntry out = header(path + "/", sys::fstat(directory.nearest()));
    add_xattrs(out, {directory.nearest(), ""}, directory.nearest_xattrs());
    begin(out);
    if (!directory.opaque() || !is_relative()) return;
    TarEntry marker;
    marker.name = path + "/" + std::string(whiteout::kOpaqueMarker);
    marker.mode = out.mode & 0777;
    marker.uid = out.uid;
    marker.gid = out.gid;
    begin(marker);
  }

  // A whole file system has nothing below it to hide.
  bool is_relative() const { return source_.direct || source_.parent; }

  // True when this inode went out before under another name.
  bool write_hard_link(const std::string& path, const struct stat& info, xattr::At file) {
    if (info.st_nlink < 2) return false;
    const auto [first, is_new] = links_.try_emplace(inode_of(info), path);
    if (is_new) return false;
    TarEntry out = header(path, info);
    out.type = TarType::HardLink;
    out.link_name = first->second;
    if (!S_ISLNK(info.st_mode)) add_xattrs(out, file);
    begin(out);
    return true;
  }

  void write_object(const std::string& path, const Entry& entry) {
    const struct stat& info = entry.info();
    const xattr::At file{entry.dirfd(), entry.name()};
    if (write_hard_link(path, info, file)) return;
    TarEntry out = header(path, info);
    if (out.type == TarType::Symlink) {
      out.link_name = sys::readlinkat(entry.dirfd(), entry.name());
    } else {
      add_xattrs(out, file);
    }
    if (out.type == TarType::CharDevice || out.type == TarType::BlockDevice) {
      out.dev_major = major(info.st_rdev);
      out.dev_minor = minor(info.st_rdev);
    }
    begin(out);
  }

  void write_file(const std::string& path, const Entry& entry) {
    UniqueFd fd = sys::openat(entry.dirfd(), entry.name(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    const struct stat info = sys::fstat(fd.get());
    if (!S_ISREG(info.st_mode)) throw Error(ErrorKind::Busy, "changed its type while being read");
    const xattr::At file{fd.get(), ""};
    if (write_hard_link(path, info, file)) return;
    TarEntry out = header(path, info);
    out.size = static_cast<uint64_t>(info.st_size);
    add_xattrs(out, file);
    begin(out);
    if (out.size >= kLargeFile) return tar_.file({std::move(fd), out.size, path});
    copy_data(fd.get());
    sent_.add(std::move(fd));
  }

  // A file that grows meanwhile gives the bytes it had when its header was written; one that
  // shrinks cannot be told truthfully any more.
  void copy_data(int fd) {
    while (tar_.remaining() > 0) {
      const size_t got = sys::read_full(fd, tar_.room());
      if (got == 0) throw_became_shorter();
      tar_.filled(got);
    }
  }

  const DiffSource& source_;
  const IdMaps& maps_;
  const WriteBehind& out_;
  TarWriter tar_;
  std::map<Inode, std::string> links_;
  ClosingFds sent_;
  size_t sockets_ = 0;
  uint64_t entries_ = 0;
};

// -------------------------------------------------------------------------------------- changes

bool same_mtime(const timespec& a, const timespec& b) {
  if (a.tv_sec != b.tv_sec) return false;
  // Tars carry whole seconds, so a side without nanoseconds may be the other after a round trip.
  return a.tv_nsec == b.tv_nsec || a.tv_nsec == 0 || b.tv_nsec == 0;
}

std::optional<std::string> capability_of(const Entry& entry) {
  if (!S_ISREG(entry.type())) return std::nullopt;
  return xattr::get({entry.dirfd(), entry.name()}, capability::kXattr);
}

bool same(const Entry& a, const Entry& b) {
  const struct stat &x = a.info(), &y = b.info();
  if (x.st_mode != y.st_mode || x.st_uid != y.st_uid || x.st_gid != y.st_gid ||
      x.st_rdev != y.st_rdev)
    return false;
  if (S_ISDIR(x.st_mode)) return true;
  return x.st_size == y.st_size && same_mtime(x.st_mtim, y.st_mtim) &&
         capability_of(a) == capability_of(b);
}

class ChangeWalk {
 public:
  ChangeWalk(const DiffSource& source, const ChangeSink& sink) : source_(source), sink_(sink) {}

  void run() { compare(source_.upper, source_.parent, false); }

 private:
  // What is in the directory at path_. `cut_off`: a directory above is opaque, so nothing of the
  // parent shows here either.
  void compare(const MergedDir& upper, const OptionalDir& parent, bool cut_off) {
    cut_off = cut_off || upper.opaque();
    const std::vector<Entry> entries = upper.list();
    std::vector<std::string> hidden;
    if (cut_off && parent) hidden = hidden_names(entries, *parent);
    auto next_hidden = hidden.cbegin();
    for (const Entry& entry : entries) {
      for (; next_hidden != hidden.cend() && *next_hidden <= entry.name(); ++next_hidden) {
        at(*next_hidden, [&] { report(ChangeKind::Delete); });
      }
      at(entry.name(), [&] { compare_entry(upper, entry, parent, cut_off); });
    }
    for (; next_hidden != hidden.cend(); ++next_hidden) {
      at(*next_hidden, [&] { report(ChangeKind::Delete); });
    }
  }

  // What the parent has in a directory where the layer hides it all, and the layer has not.
  static std::vector<std::string> hidden_names(const std::vector<Entry>& upper,
                                               const MergedDir& parent) {
    std::unordered_set<std::string> shown;
    for (const Entry& entry : upper) {
      if (!entry.is_whiteout()) shown.insert(entry.name());
    }
    std::vector<std::string> names;
    for (const Entry& entry : parent.list()) {
      if (!entry.is_whiteout() && !shown.contains(entry.name())) names.push_back(entry.name());
    }
    return names;
  }

  void compare_entry(const MergedDir& upper, const Entry& entry, const OptionalDir& parent,
                     bool cut_off) {
    const std::optional<Entry> below = parent ? parent->find(entry.name()) : std::nullopt;
    if (entry.is_whiteout()) {
      // Where everything is hidden anyway, it is among the hidden names.
      if (below && !cut_off) report(ChangeKind::Delete);
      return;
    }
    if (!below) {
      add_new(upper, entry);
      return;
    }
    if (entry.try_info() == nullptr) return;  // deleted meanwhile
    const bool changed = !same(entry, *below);
    if (changed) report(ChangeKind::Modify);
    if (!entry.is_directory()) return;
    const size_t length = path_.size();
    if (!changed) unreported_.push_back(length);
    inside(upper, entry, [&](const MergedDir& directory) {
      compare(directory, below->is_directory() ? OptionalDir(parent->open(*below)) : std::nullopt,
              cut_off);
    });
    if (!unreported_.empty() && unreported_.back() == length) unreported_.pop_back();
  }

  // What the parent does not have need not be looked at, and all that is in it is new.
  void add_new(const MergedDir& upper, const Entry& entry) {
    if (entry.is_whiteout()) return;
    report(ChangeKind::Add);
    if (!entry.is_directory()) return;
    inside(upper, entry, [&](const MergedDir& directory) {
      for (const Entry& found : directory.list()) {
        at(found.name(), [&] { add_new(directory, found); });
      }
    });
  }

  template <typename Work>
  void at(const std::string& name, const Work& work) {
    const size_t length = path_.size();
    path_ += name;
    check_path();
    work();
    path_.resize(length);
  }

  template <typename Work>
  void inside(const MergedDir& above, const Entry& directory, const Work& work) {
    path_ += '/';
    work(above.open(directory));
    path_.pop_back();
  }

  // The slash in front is no part of the name.
  void check_path() const {
    with_context([&] { return quoted(path_); }, [&] { check_length(path_.size() - 1); });
  }

  // Directories are modified when something in them is.
  void report(ChangeKind kind) {
    for (const size_t length : std::exchange(unreported_, {})) {
      sink_(std::string_view(path_).substr(0, length), ChangeKind::Modify);
    }
    sink_(path_, kind);
  }

  const DiffSource& source_;
  const ChangeSink& sink_;
  std::string path_ = "/";
  std::vector<size_t> unreported_;  // the directories on the way to path_: lengths of their paths
};

// ----------------------------------------------------------------------------------------- size

class SizeSum {
 public:
  void add_directory(const VisitedDirectory& directory) {
    if (directory.depth > kMaxTarName / 2) {  // deeper than the longest path
      throw Error(ErrorKind::Unsupported,
                  "directories are nested deeper than a layer tar can name");
    }
    for (const Entry& entry : directory.list) {
      if (entry.is_directory()) continue;
      const struct stat* const info = entry.try_info();
      if (info == nullptr) continue;
      if (info->st_nlink < 2) {
        add(info->st_size);
      } else {
        linked_.emplace(inode_of(*info), info->st_size);
      }
    }
  }

  // What the other has found elsewhere in the same layers.
  void merge(SizeSum other) {
    add(other.total_);
    linked_.merge(other.linked_);
  }

  int64_t total() {
    for (const auto& [inode, size] : std::exchange(linked_, {})) add(size);
    return total_;
  }

 private:
  // Holes take no room, so a few files are enough.
  void add(int64_t size) {
    if (size > INT64_MAX - total_)
      throw Error(ErrorKind::Unsupported, "the layer is larger than 8 EiB");
    total_ += size;
  }

  std::map<Inode, int64_t> linked_;  // have several names, each of which may come up
  int64_t total_ = 0;
};

}  // namespace

void write_layer_tar(const DiffSource& source, const IdMaps& maps, Observer& observer,
                     ByteSink& sink) {
  WriteBehind behind(sink);
  TarExport tar(source, maps, behind);
  tar.run();
  behind.finish();
  observer.sent(tar.entries());
  if (tar.sockets() > 0) {
    observer.note(NoteLevel::Info,
                  "left " + std::to_string(tar.sockets()) + " sockets out of a diff");
  }
}

void list_changes(const DiffSource& source, const ChangeSink& sink) {
  ChangeWalk(source, sink).run();
}

int64_t measure(const DiffSource& source) {
  std::array<SizeSum, kWalkThreads> sums;
  walk_directories(source.upper, [&](const VisitedDirectory& directory) {
    sums[directory.thread].add_directory(directory);
  });
  sums[0].merge(std::move(sums[1]));
  return sums[0].total();
}

}  // namespace overlayd
