// SPDX-License-Identifier: Apache-2.0
#include "core/layer_apply.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/acl.h"
#include "core/attributes.h"
#include "core/capability.h"
#include "core/error.h"
#include "core/file_filler.h"
#include "core/layer_diff.h"
#include "core/layer_digests.h"
#include "core/layer_directories.h"
#include "core/layer_xattrs.h"
#include "core/layout.h"
#include "core/sys.h"
#include "core/tar_blame.h"
#include "core/tar_place.h"
#include "core/whiteout.h"
#include "core/write_back.h"
#include "core/xattr.h"

namespace overlayd {
namespace {

[[noreturn]] void bad(const std::string& what) { throw Error(ErrorKind::BadArchive, what); }

timespec to_timespec(const TarTime& time) { return {time.seconds, time.nanoseconds}; }

void set_times(int dirfd, const std::string& name, const timespec& mtime) {
  const std::array<timespec, 2> times = {mtime, mtime};  // layer tars carry no atime
  if (::utimensat(dirfd, name.c_str(), times.data(), AT_SYMLINK_NOFOLLOW) != 0) {
    throw_errno("set the times of", name);
  }
}

class Extractor {
 public:
  Extractor(int root, const IdMaps& maps, ByteSource& source, ApplyOptions options)
      : root_(root),
        maps_(maps),
        commit_(options.commit),
        tar_(
            source, [this] { files_.hand_over(); }, options.reserve),
        directory_(root, maps, std::move(options.open_lower)),
        files_(commit_.needs_data() ? &write_back_ : nullptr) {
    if (options.digests) digests_.emplace(std::move(options.digests));
  }

  Applied run() {
    const uint64_t entries = extract_all();
    replaced_ = replaced_ || directory_.has_removed();
    if (digests_) finish_digests();
    write_back_.finish();
    return {.size = replaced_ ? recount() : size_, .entries = entries};
  }

 private:
  // Returns how many there were, with all files filled. Of several errors the one earliest in the
  // tar counts, and a file's is found out late.
  uint64_t extract_all() {
    uint64_t entries = 0;
    try {
      for (; const auto entry = next(); ++entries) {
        blaming(member_of(*entry), [&] { extract(*entry); });
      }
      drop_aufs_links();
      directory_.leave();
    } catch (...) {
      files_.finish();
      throw;
    }
    files_.finish();
    return entries;
  }

  std::optional<TarEntry> next() { return files_.has_failed() ? std::nullopt : tar_.next(); }

  TarMember member_of(const TarEntry& entry) const { return {entry.name, tar_.header_offset()}; }

  void extract(const TarEntry& entry) {
    const TarPlace place = place_in_layer(entry.name, "name");
    if (place.name.empty()) return extract_root(entry);
    if (is_aufs_bookkeeping(place)) return keep_aufs_link(place, entry);
    const whiteout::Marker marker = whiteout::parse_marker(place.name);
    if (marker.kind == whiteout::MarkerKind::AufsOwn) return;
    if (is_below_marker(place)) bad("a whiteout is no directory");
    switch (marker.kind) {
      case whiteout::MarkerKind::Malformed: bad("a whiteout without a name");
      case whiteout::MarkerKind::Opaque: return make_opaque(enter(place, entry));
      case whiteout::MarkerKind::Deleted:
        return make_whiteout(enter(place, entry), std::string(marker.name), entry);
      default: return make_object(place, entry);
    }
  }

  int enter(const TarPlace& place, const TarEntry& entry) {
    const int parent = directory_.enter(place.parent);
    directory_.check_name(entry.type == TarType::Directory ? place.name + "/" : place.name);
    return parent;
  }

  // Its files stay until the end of the tar, for hard links to take hold of; the rest means
  // nothing.
  void keep_aufs_link(const TarPlace& place, const TarEntry& entry) {
    if (place.parent != kAufsLinks || entry.type != TarType::Regular) return;
    make_file(place, entry);
    has_aufs_links_ = true;
  }

  void drop_aufs_links() {
    if (has_aufs_links_) clear(directory_.enter(""), kAufsLinks);
  }

  void extract_root(const TarEntry& entry) {
    if (entry.type != TarType::Directory) bad("the root of the layer is not a directory");
    directory_.leave();
    set_metadata(root_, ".", entry, Origin::There);
  }

  // To overlayfs the root is never opaque. What is in an opaque directory is not merged, and there
  // whiteouts are worse than superfluous: overlayfs lists them. So there are none, at any depth.
  void make_opaque(int directory) {
    if (is_root(directory) || whiteout::is_opaque({directory, ""})) return;
    whiteout::set_opaque({directory, ""});
    drop_whiteouts(directory);
  }

  // As deep as a path in the layer can be. An opaque directory has no whiteouts left to drop.
  void drop_whiteouts(int directory) {
    const timespec mtime = sys::fstat(directory).st_mtim;
    for (const sys::DirEntry& entry : sys::list_directory(directory)) {
      const struct stat info = sys::fstatat(directory, entry.name);
      if (whiteout::is_whiteout(info)) replaced_ |= sys::unlinkat(directory, entry.name, 0);
      if (!S_ISDIR(info.st_mode)) continue;
      const UniqueFd inside = sys::open_directory(directory, entry.name);
      if (!whiteout::is_opaque({inside.get(), ""})) drop_whiteouts(inside.get());
    }
    set_times(directory, ".", mtime);
  }

  // Whether nothing of the layers below shows here: this directory is opaque, or one around it.
  bool is_cut_off(int directory) const {
    UniqueFd above;
    while (!is_root(directory)) {
      if (whiteout::is_opaque({directory, ""})) return true;
      above = sys::open_directory(directory, "..");
      directory = above.get();
    }
    return false;
  }

  bool is_root(int directory) const { return is_same_file(directory, ".", sys::fstat(root_)); }

  // A whiteout is about the layers below only: what the same tar has made of that name stays, and a
  // directory no longer shows what is under it (OCI image specification, layer.md, "Whiteouts").
  void make_whiteout(int parent, const std::string& name, const TarEntry& entry) {
    if (const auto made = sys::try_fstatat(parent, name); made && !whiteout::is_whiteout(*made)) {
      if (S_ISDIR(made->st_mode)) {
        check_opaque_name(name);
        make_opaque(sys::open_directory(parent, name).get());
      }
      return;
    }
    if (is_cut_off(parent)) return;
    clear(parent, name);
    whiteout::make(parent, name);
    set_whiteout_owner(parent, name, entry);
    set_times(parent, name, to_timespec(entry.mtime));
    record({.kind = FileKind::Whiteout}, name);
  }

  void check_opaque_name(const std::string& directory) const {
    directory_.check_name(directory + "/" + std::string(whiteout::kOpaqueMarker));
  }

  // It owns nothing, so an owner that the maps lack is no reason to refuse it: Docker writes
  // whiteouts with host ids. Left alone it would have the group of a set-gid directory.
  void set_whiteout_owner(int parent, const std::string& name, const TarEntry& entry) {
    const auto host = [](const IdMap& map, uint64_t id, uint32_t otherwise) {
      if (id >= UINT32_MAX) return otherwise;
      return map.to_host(static_cast<uint32_t>(id)).value_or(otherwise);
    };
    set_owner({parent, name}, {host(maps_.uids, entry.uid, maps_.root_uid()),
                               host(maps_.gids, entry.gid, maps_.root_gid())});
  }

  void make_object(const TarPlace& place, const TarEntry& entry) {
    const auto parent = [&] { return enter(place, entry); };
    const std::string& name = place.name;
    switch (entry.type) {
      case TarType::Regular: return make_file(place, entry);
      case TarType::Directory: return make_directory(parent(), name, entry);
      case TarType::HardLink: return make_hard_link(parent(), name, entry);
      case TarType::Symlink: return make_symlink(parent(), name, entry);
      case TarType::CharDevice: return make_node(parent(), name, entry, S_IFCHR);
      case TarType::BlockDevice: return make_node(parent(), name, entry, S_IFBLK);
      case TarType::Fifo: return make_node(parent(), name, entry, S_IFIFO);
    }
  }

  void make_file(const TarPlace& place, const TarEntry& entry) {
    const auto at = directory_.enter_for_file(place.parent, place.name);
    directory_.check_name(place.name);
    UniqueFd fd;
    make(at.dirfd, at.path, [&] {
      fd = UniqueFd(sys::retry_eintr([&] {
        return ::openat(at.dirfd, at.path.c_str(),
                        O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, first_mode(entry));
      }));
      return static_cast<bool>(fd);
    });
    files_.begin({.fd = std::move(fd),
                  .member = member_of(entry),
                  .size = entry.size,
                  .attributes = attributes_of_new(entry),
                  .mtime = to_timespec(entry.mtime)});
    while (auto data = tar_.read_data()) files_.add(*std::move(data));
    add_size(entry.size);
    record(FileKind::Regular, place.name, entry, entry.size, tar_.digest());
  }

  // Holes take no room, so two headers are enough to claim more than the answer can say.
  void add_size(uint64_t size) {
    if (size > static_cast<uint64_t>(INT64_MAX - size_)) bad("the layer is larger than 8 EiB");
    size_ += static_cast<int64_t>(size);
  }

  void make_directory(int parent, const std::string& name, const TarEntry& entry) {
    const auto make = [&] { return ::mkdirat(parent, name.c_str(), first_mode(entry)) == 0; };
    Origin origin = Origin::New;
    if (!make()) {
      if (errno != EEXIST) throw_errno("make", name);
      const struct stat old = sys::fstatat(parent, name);
      if (S_ISDIR(old.st_mode)) {
        drop_xattrs({parent, name});
        origin = Origin::There;
      } else {
        if (whiteout::is_whiteout(old)) check_opaque_name(name);
        clear(parent, name);
        if (!make()) throw_errno("make", name);
        // What was deleted and made anew must not show what lies below.
        if (whiteout::is_whiteout(old)) whiteout::set_opaque({parent, name});
      }
    }
    set_owner_and_mode(parent, name, entry, origin);
    directory_.add(name, {.gid = host_id(maps_.gids, entry.gid, "gid"),
                          .is_set_gid = (entry.mode & S_ISGID) != 0,
                          .has_default_acl = entry.xattrs.contains(acl::kDefaultXattr),
                          .mtime = to_timespec(entry.mtime)});
  }

  void make_symlink(int parent, const std::string& name, const TarEntry& entry) {
    if (entry.link_name.empty()) bad("a symlink without a target");
    make(parent, name,
         [&] { return ::symlinkat(entry.link_name.c_str(), parent, name.c_str()) == 0; });
    set_metadata(parent, name, entry, Origin::New);
    add_size(entry.link_name.size());
    record(FileKind::Symlink, name, entry, entry.link_name.size(), digest_of(entry.link_name));
  }

  void make_node(int parent, const std::string& name, const TarEntry& entry, mode_t type) {
    if (type == S_IFCHR && entry.dev_major == 0 && entry.dev_minor == 0) {
      bad("a device 0:0 would be taken for a whiteout");
    }
    const dev_t device = makedev(entry.dev_major, entry.dev_minor);
    make(parent, name,
         [&] { return ::mknodat(parent, name.c_str(), type | first_mode(entry), device) == 0; });
    set_metadata(parent, name, entry, Origin::New);
    if (type == S_IFIFO) return record(FileKind::Fifo, name, entry, 0);
    record(type == S_IFCHR ? FileKind::CharDevice : FileKind::BlockDevice, name, entry, device);
  }

  // The target is an earlier member of this tar; the link shares its inode and so its metadata.
  void make_hard_link(int parent, const std::string& name, const TarEntry& entry) {
    const TarPlace target = place_in_layer(entry.link_name, "link target");
    if (target.name.empty()) bad("a hard link to the root of the layer");
    const auto found = directory_.find(target.parent);
    const auto info = found ? sys::try_fstatat(found->fd, target.name) : std::nullopt;
    if (!info || whiteout::is_whiteout(*info)) {
      bad("hard link to " + quoted(entry.link_name) + ", which is not in this layer");
    }
    if (S_ISDIR(info->st_mode)) bad("hard link to the directory " + quoted(entry.link_name));
    const auto link = [&] {
      return ::linkat(found->fd, target.name.c_str(), parent, name.c_str(), 0) == 0;
    };
    if (!put_link(parent, name, *info, link)) return;
    const std::string same_as = TarPlace{found->path, target.name}.path();
    record({.kind = FileKind::HardLink, .digest = digest_of(same_as)}, name);
  }

  // False when `name` is that file already.
  template <typename TryLink>
  bool put_link(int parent, const std::string& name, const struct stat& file, TryLink try_link) {
    if (try_link()) return true;
    if (errno != EEXIST) throw_errno("make hard link", name);
    if (is_same_file(parent, name, file)) return false;
    clear(parent, name);
    if (try_link()) return true;
    if (errno == ENOENT) bad("hard link to something in the directory that it replaces");
    throw_errno("make hard link", name);
  }

  static bool is_same_file(int dirfd, const std::string& name, const struct stat& other) {
    const auto info = sys::try_fstatat(dirfd, name);
    return info && info->st_dev == other.st_dev && info->st_ino == other.st_ino;
  }

  // Nearly always there is nothing of that name, so that is only seen when `try_make` fails.
  template <typename TryMake>
  void make(int parent, const std::string& name, TryMake try_make) {
    if (try_make()) return;
    if (errno != EEXIST) throw_errno("make", name);
    clear(parent, name);
    if (!try_make()) throw_errno("make", name);
  }

  // The permissions to make an object with. The set-id bits and the sticky bit come later.
  static mode_t first_mode(const TarEntry& entry) { return entry.mode & 0777; }

  // Removes what an earlier member put there: the last one wins.
  void clear(int parent, const std::string& name) {
    if (!sys::remove_tree(parent, name)) return;
    replaced_ = true;
    directory_.expect_changes();
  }

  /// Whether an object was made for this member, with its first_mode(), or was there before.
  enum class Origin { New, There };

  // Times last: everything else changes them.
  void set_metadata(int parent, const std::string& name, const TarEntry& entry, Origin origin) {
    set_owner_and_mode(parent, name, entry, origin);
    set_times(parent, name, to_timespec(entry.mtime));
  }

  void set_owner_and_mode(int parent, const std::string& name, const TarEntry& entry,
                          Origin origin) {
    set_attributes({parent, name},
                   origin == Origin::New ? attributes_of_new(entry) : attributes_of_old(entry));
  }

  Attributes attributes_of_old(const TarEntry& entry) const {
    return {.owner = owner_of(entry), .xattrs = xattrs_of(entry), .mode = entry.mode};
  }

  // A new object has the permissions that it was made with: chown clears set-id bits only.
  Attributes attributes_of_new(const TarEntry& entry) const {
    Attributes attributes = attributes_of_old(entry);
    const Owner owner = *attributes.owner;
    if (owner.uid == uid_ && directory_.gives_group(owner.gid)) attributes.owner.reset();
    const bool is_symlink = entry.type == TarType::Symlink;
    attributes.has_foreign_acls = directory_.has_default_acl() && !is_symlink;
    const bool has_mode = !attributes.has_foreign_acls && entry.xattrs.empty() &&
                          !became_set_gid(entry) && entry.mode == first_mode(entry);
    if (is_symlink || has_mode) attributes.mode.reset();
    return attributes;
  }

  bool became_set_gid(const TarEntry& made) const {
    return made.type == TarType::Directory && directory_.is_set_gid();
  }

  // Of a directory that is there already: from an earlier member, or from the lower layer if none
  // was. Access that an ACL gave must not outlive it.
  static void drop_xattrs(xattr::At directory) {
    for (const std::string& name : xattr::list(directory)) {
      if (is_carried_xattr(name)) xattr::remove(directory, name.c_str());
    }
  }

  Owner owner_of(const TarEntry& entry) const {
    return {host_id(maps_.uids, entry.uid, "uid"), host_id(maps_.gids, entry.gid, "gid")};
  }

  static uint32_t host_id(const IdMap& map, uint64_t id, const char* what) {
    // 2^32-1 means "leave as it is" to chown.
    if (id < UINT32_MAX) {
      if (const auto host = map.to_host(static_cast<uint32_t>(id))) return *host;
    }
    throw Error(ErrorKind::InvalidArgument,
                std::string(what) + " " + std::to_string(id) + " is outside the store's id map");
  }

  std::vector<std::pair<std::string, std::string>> xattrs_of(const TarEntry& entry) const {
    std::vector<std::pair<std::string, std::string>> xattrs;
    for (const auto& [name, value] : entry.xattrs) {
      check_xattr(name, value);
      xattrs.emplace_back(name, xattr_for_disk(name, value, maps_));
    }
    return xattrs;
  }

  static void check_xattr(const std::string& name, const std::string& value) {
    if (is_overlay_xattr(name)) {
      bad("xattr " + quoted(name) + " is overlayfs's own and may not come from a tar");
    }
    if (name.find('\0') != std::string::npos) bad("an xattr name with a NUL byte");
    // Linux takes it, but then cannot read it any more.
    if (name == capability::kXattr && value.empty()) bad("file capabilities without a value");
  }

  /// `name` in the current directory was made as `entry` says.
  void record(FileKind kind, const std::string& name, const TarEntry& entry, uint64_t size,
              const Digest& digest = {}) {
    record({.kind = kind,
            .mode = kind == FileKind::Symlink ? 0777 : entry.mode,
            .uid = host_id(maps_.uids, entry.uid, "uid"),
            .gid = host_id(maps_.gids, entry.gid, "gid"),
            .size = size,
            .digest = digest},
           name);
  }

  void record(RecordedFile file, const std::string& name) {
    if (!digests_) return;
    file.path = directory_.path_of(name);
    digests_->add(file);
  }

  void finish_digests() {
    if (replaced_) {
      digests_->start_over();
      record_tree(root_, *digests_);
    }
    UniqueFd file = digests_->finish();
    if (commit_.needs_data()) write_back_.take(std::move(file), layout::kDigests);
  }

  // Of many directories with a second thread, which is confined as this one is.
  int64_t recount() {
    std::vector<UniqueFd> layer;
    layer.push_back(sys::openat(root_, ".", O_RDONLY | O_DIRECTORY));
    return measure({.upper = MergedDir(std::move(layer)), .parent = std::nullopt});
  }

  int root_;
  const IdMaps& maps_;
  const Commit commit_;
  const uid_t uid_ = ::geteuid();
  WriteBack write_back_;
  TarReadAhead tar_;
  LayerDirectories directory_;
  FileFiller files_;
  bool has_aufs_links_ = false;
  int64_t size_ = 0;
  std::optional<DigestsWriter> digests_;
  bool replaced_ = false;  // something that was made is gone: neither sum nor digests are right
};

}  // namespace

Applied apply_layer_tar(int root, const IdMaps& maps, ByteSource& source, ApplyOptions options) {
  return Extractor(root, maps, source, std::move(options)).run();
}

}  // namespace overlayd
