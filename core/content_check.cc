// SPDX-License-Identifier: Apache-2.0
#include "core/content_check.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <mutex>
#include <utility>

#include "core/directory_walk.h"
#include "core/error.h"
#include "core/layer_digests.h"
#include "core/layout.h"
#include "core/store_survey.h"
#include "core/sys.h"

namespace overlayd {
namespace {

/// A recorded file, whose path is only known by its digest.
struct Known {
  Digest path, content;
  uint64_t size;
  mode_t mode;
  uid_t uid;
  gid_t gid;
  FileKind kind;
  bool seen = false;
};

const char* name_of(FileKind kind) {
  switch (kind) {
    case FileKind::Regular: return "a regular file";
    case FileKind::Symlink: return "a symlink";
    case FileKind::CharDevice: return "a character device";
    case FileKind::BlockDevice: return "a block device";
    case FileKind::Fifo: return "a pipe";
    case FileKind::Whiteout: return "a whiteout";
    case FileKind::Socket: return "a socket";
    case FileKind::HardLink: break;
  }
  return "a hard link to nothing that is recorded";
}

std::string octal(mode_t mode) {
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "%04o", mode);
  return text.data();
}

std::string owner(uid_t uid, gid_t gid) { return std::to_string(uid) + ":" + std::to_string(gid); }

/// What has changed; nothing when nothing has.
std::string difference(const RecordedFile& is, const Known& was) {
  if (is.kind != was.kind) {
    return std::string("is ") + name_of(is.kind) + ", and was written as " + name_of(was.kind);
  }
  const bool has_bytes = is.kind == FileKind::Regular || is.kind == FileKind::Symlink;
  if (has_bytes && is.size != was.size) {
    return "has " + std::to_string(is.size) + " bytes, and was written with " +
           std::to_string(was.size);
  }
  if (is.size != was.size) return "has another device number than it was written with";
  if (is.digest != was.content) return "has another content than it was written with";
  if (is.mode != was.mode) {
    return "has the mode " + octal(is.mode) + ", and was written with " + octal(was.mode);
  }
  if (is.uid != was.uid || is.gid != was.gid) {
    return "has the owner " + owner(is.uid, is.gid) + ", and was written with " +
           owner(was.uid, was.gid);
  }
  return {};
}

class Comparison {
 public:
  Comparison(int content, int digests, const ContentProgress& progress)
      : content_(content), digests_(digests), progress_(progress) {}

  ContentReport run() {
    load();
    walk();
    name_missing();
    std::ranges::sort(report_.differences, {}, &ContentDifference::path);
    return std::move(report_);
  }

 private:
  void load() {
    read_digests(digests_, [&](const RecordedFile& file) {
      known_.push_back({.path = digest_of(file.path),
                        .content = file.digest,
                        .size = file.size,
                        .mode = file.mode,
                        .uid = file.uid,
                        .gid = file.gid,
                        .kind = file.kind});
    });
    std::ranges::sort(known_, {}, &Known::path);
    for (Known& file : known_) resolve(file);
    for (const Known& file : known_) all_bytes_ += bytes_of(file);
  }

  static uint64_t bytes_of(const Known& file) {
    return file.kind == FileKind::Regular ? file.size : 0;
  }

  Known* find(const Digest& path) {
    const auto found = std::ranges::lower_bound(known_, path, {}, &Known::path);
    return found == known_.end() || found->path != path ? nullptr : &*found;
  }

  // A hard link to a hard link to …; it stays one if that leads nowhere.
  void resolve(Known& link) {
    const Known* at = &link;
    for (size_t steps = 0; at->kind == FileKind::HardLink; ++steps) {
      at = find(at->content);
      if (at == nullptr || steps == known_.size()) return;
    }
    const Digest path = link.path;
    link = *at;
    link.path = path;
  }

  void walk() {
    try {
      std::vector<UniqueFd> layer;
      layer.push_back(sys::openat(content_, ".", O_RDONLY | O_DIRECTORY));
      walk_directories(MergedDir(std::move(layer)),
                       [&](const VisitedDirectory& directory) { visit(directory); });
    } catch (const SysError& error) {
      if (!tells_of_damage(error.errnum())) throw;
      cut_short(error);
    } catch (const Error& error) {
      cut_short(error);
    }
  }

  // By a directory that cannot be read: nobody knows what is in it, and in those not yet visited.
  void cut_short(const Error& error) {
    differ("", std::string("cannot be read: ") + error.what());
    cut_short_ = true;
  }

  void visit(const VisitedDirectory& directory) {
    for (const MergedDir::Entry& entry : directory.list) {
      if (entry.is_directory()) continue;
      std::string path = directory.prefix + entry.name();
      Known* const known = find(digest_of(path));
      if (known == nullptr) {
        differ(std::move(path), "was not there when the layer was written");
      } else {
        compare(entry, std::move(path), *known, readers_[directory.thread]);
      }
    }
  }

  void compare(const MergedDir::Entry& entry, std::string path, Known& known, FileReader& reader) {
    std::string what;
    try {
      what = difference(reader.read(entry, path), known);
    } catch (const SysError& error) {
      if (error.errnum() == ENOENT) return;  // missing by now
      if (!tells_of_damage(error.errnum())) throw;
      what = std::string("cannot be read: ") + error.what();
    }
    if (!what.empty()) differ(std::move(path), std::move(what));
    const std::lock_guard lock(mutex_);
    known.seen = true;
    ++report_.files;
    report_.bytes += bytes_of(known);
    if (progress_) progress_(report_.bytes, all_bytes_);
  }

  // Their names are not in memory.
  void name_missing() {
    const auto is_missing = [](const Known& file) { return !file.seen; };
    if (cut_short_ || std::ranges::none_of(known_, is_missing)) return;
    if (::lseek(digests_, 0, SEEK_SET) != 0) throw_errno([] { return "read digests again"; });
    read_digests(digests_, [&](RecordedFile file) {
      if (is_missing(*find(digest_of(file.path)))) differ(std::move(file.path), "is missing");
    });
  }

  void differ(std::string path, std::string what) {
    const std::lock_guard lock(mutex_);
    if (report_.differences.size() == ContentReport::kMostNamed) {
      ++report_.more;
    } else {
      report_.differences.push_back({std::move(path), std::move(what)});
    }
  }

  int content_, digests_;
  const ContentProgress& progress_;
  std::vector<Known> known_;  // by path
  uint64_t all_bytes_ = 0;
  std::array<FileReader, kWalkThreads> readers_;
  bool cut_short_ = false;
  std::mutex mutex_;  // for what follows, and Known::seen
  ContentReport report_;
};

bool is_same_file(int fd, int dirfd, const std::string& path) {
  const auto there = sys::try_fstatat(dirfd, path);
  const struct stat ours = sys::fstat(fd);
  return there && there->st_dev == ours.st_dev && there->st_ino == ours.st_ino;
}

// Whoever mounts a layer to write to it leaves something there, and overlayd removes the record.
bool was_written_by_others(int home, const LayerId& id) {
  const UniqueFd work = sys::try_openat(home, layout::in_layer(id, layout::kWork),
                                        O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  return work && !sys::list_directory(work.get()).empty();
}

}  // namespace

ContentReport compare_content(int content, int digests, const ContentProgress& progress) {
  return Comparison(content, digests, progress).run();
}

std::optional<ContentReport> check_content(int home, const LayerId& id,
                                           const ContentProgress& progress) {
  const std::string path = layout::in_layer(id, layout::kDigests);
  const UniqueFd digests = sys::try_openat(home, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  const UniqueFd content = sys::try_openat(home, layout::in_layer(id, layout::kDiff),
                                           O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!digests || !content || was_written_by_others(home, id)) return std::nullopt;
  ContentReport report;
  try {
    report = compare_content(content.get(), digests.get(), progress);
    for (ContentDifference& difference : report.differences) {
      const std::string below = difference.path.empty() ? "" : "/" + difference.path;
      difference.path = layout::in_layer(id, layout::kDiff) + below;
    }
  } catch (const SysError&) {
    throw;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::Corrupt) throw;
    report.differences.push_back({path, error.what()});
  }
  // The record goes before the content may change.
  if (!is_same_file(digests.get(), home, path)) return std::nullopt;
  if (sys::try_fstatat(home, layout::in_layer(id, layout::kPartial))) return std::nullopt;
  return report;
}

}  // namespace overlayd
