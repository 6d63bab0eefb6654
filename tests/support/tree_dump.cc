// SPDX-License-Identifier: Apache-2.0
#include "tests/support/tree_dump.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/sys.h"

namespace overlayd::test {
namespace {

// What is short is shown, what is long is hashed (FNV-1a: enough to tell trees apart, not
// adversaries).
class Digest {
 public:
  void add(std::string_view bytes) {
    if (text_.size() <= kShown) text_ += bytes.substr(0, kShown + 1);
    size_ += bytes.size();
    for (const char byte : bytes)
      hash_ = (hash_ ^ static_cast<unsigned char>(byte)) * 0x100000001b3U;
  }
  std::string str() const {
    if (size_ <= kShown) return quoted(text_);
    std::array<char, 64> out;
    std::snprintf(out.data(), out.size(), "%zu bytes #%016llx", size_,
                  static_cast<unsigned long long>(hash_));
    return out.data();
  }

 private:
  static constexpr size_t kShown = 64;
  std::string text_;
  size_t size_ = 0;
  uint64_t hash_ = 0xcbf29ce484222325U;
};

class Dumper {
 public:
  explicit Dumper(const TreeDumpOptions& options) : options_(options) {}

  // Without recursion: trees may be deeper than the stack of a program under a sanitizer.
  void dump(int root) {
    std::vector<Directory> way;
    if (add_line(root, ".", ".")) way.push_back(open(root, ".", ""));
    while (!way.empty()) {
      if (way.back().rest.empty()) {
        way.pop_back();
        continue;
      }
      const std::string name = std::move(way.back().rest.back().name);
      way.back().rest.pop_back();
      const int dirfd = way.back().fd.get();
      const std::string path = way.back().prefix + name;
      if (add_line(dirfd, name, path)) way.push_back(open(dirfd, name, path + "/"));
    }
  }

  std::vector<std::string> lines;

 private:
  struct Directory {
    UniqueFd fd;
    std::string prefix;
    std::vector<sys::DirEntry> rest;  // the next one last
  };

  static Directory open(int dirfd, const std::string& name, std::string prefix) {
    Directory directory{
        sys::openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW), std::move(prefix), {}};
    directory.rest = sys::list_directory(directory.fd.get());
    std::reverse(directory.rest.begin(), directory.rest.end());
    return directory;
  }

  // True for a directory that has not been seen before.
  bool add_line(int dirfd, const std::string& name, const std::string& path) {
    const struct stat info = sys::fstatat(dirfd, name);
    std::string line = path + ": ";
    const auto [first, is_new] = first_paths_.emplace(std::pair(info.st_dev, info.st_ino), path);
    if (!is_new) {
      lines.push_back(line + "same as " + first->second);
      return false;
    }
    line += describe(dirfd, name, info) + xattrs(sys::fd_path(dirfd) + "/" + name);
    if (options_.mtimes) {
      line += " mtime=" + std::to_string(info.st_mtim.tv_sec) + "." +
              std::to_string(info.st_mtim.tv_nsec);
    }
    lines.push_back(std::move(line));
    return S_ISDIR(info.st_mode);
  }

  static std::string describe(int dirfd, const std::string& name, const struct stat& info) {
    std::array<char, 64> attributes;
    std::snprintf(attributes.data(), attributes.size(), " %04o %u:%u", info.st_mode & 07777U,
                  info.st_uid, info.st_gid);
    const std::string common = attributes.data();
    const std::string device =
        " " + std::to_string(major(info.st_rdev)) + "," + std::to_string(minor(info.st_rdev));
    switch (info.st_mode & S_IFMT) {
      case S_IFDIR: return "directory" + common;
      case S_IFREG: return "file" + common + " " + content(dirfd, name);
      case S_IFLNK: return "symlink" + common + " -> " + quoted(sys::readlinkat(dirfd, name));
      case S_IFCHR: return "character device" + common + device;
      case S_IFBLK: return "block device" + common + device;
      case S_IFIFO: return "fifo" + common;
      default: return "socket" + common;
    }
  }

  static std::string content(int dirfd, const std::string& name) {
    const UniqueFd fd = sys::openat(dirfd, name, O_RDONLY | O_NOFOLLOW);
    std::vector<char> buffer(size_t{64} * 1024);
    Digest digest;
    while (const size_t count = sys::read_full(fd.get(), std::as_writable_bytes(std::span(buffer))))
      digest.add({buffer.data(), count});
    return digest.str();
  }

  static std::string xattrs(const std::string& path) {
    std::vector<char> list(size_t{64} * 1024);
    const ssize_t length = ::llistxattr(path.c_str(), list.data(), list.size());
    if (length < 0) return errno == EOPNOTSUPP ? "" : " (xattrs unreadable)";
    std::map<std::string, std::string> values;
    for (std::string_view rest(list.data(), static_cast<size_t>(length)); !rest.empty();) {
      const std::string name(rest.substr(0, rest.find('\0')));
      rest.remove_prefix(name.size() + 1);
      std::vector<char> value(size_t{64} * 1024);
      const ssize_t size = ::lgetxattr(path.c_str(), name.c_str(), value.data(), value.size());
      Digest digest;
      if (size > 0) digest.add({value.data(), static_cast<size_t>(size)});
      values[name] = digest.str();
    }
    std::string out;
    for (const auto& [name, value] : values) out += " " + name + "=" + value;
    return out;
  }

  TreeDumpOptions options_;
  std::map<std::pair<dev_t, ino_t>, std::string> first_paths_;
};

}  // namespace

std::vector<std::string> tree_dump(int dirfd, const TreeDumpOptions& options) {
  Dumper dumper(options);
  dumper.dump(dirfd);
  std::sort(dumper.lines.begin(), dumper.lines.end());
  return std::move(dumper.lines);
}

std::string tree_text(int dirfd, const TreeDumpOptions& options) {
  std::string text;
  for (const std::string& line : tree_dump(dirfd, options)) text += line + "\n";
  return text;
}

}  // namespace overlayd::test
