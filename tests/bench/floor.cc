// SPDX-License-Identifier: Apache-2.0
//
// The floor: what a layer's life costs when nothing but the needed system calls is made, in one
// thread, without a socket. Prints the seconds it took. Run by run.sh.
//
//   floor apply TAR DIRECTORY     the tar is read and taken apart before the clock starts
//   floor apply-synced TAR DIRECTORY    the same, and all of its file system written back
//   floor diff DIRECTORY          headers and data go to /dev/null
//   floor live DIRECTORY TIMES    containers come and go on 20 layers; the seconds for one
//   floor answer SOCKET           a plugin that gives every call the same answer at once, until it
//                                 is killed: what remains is the engine's own share of a call.
//                                 Changes are answered with what is in the file SOCKET.changes
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "core/stream.h"
#include "core/sys.h"
#include "core/tar_reader.h"

namespace {

using namespace overlayd;
using Clock = std::chrono::steady_clock;

void check(long result, const char* what) {
  if (result >= 0) return;
  std::perror(what);
  std::exit(1);
}

class FileSource final : public ByteSource {
 public:
  explicit FileSource(const char* path) : fd_(sys::openat(AT_FDCWD, path, O_RDONLY)) {}
  size_t read(std::span<std::byte> buffer) override { return sys::read_full(fd_.get(), buffer); }

 private:
  UniqueFd fd_;
};

struct Member {
  TarEntry entry;
  std::string data;
};

std::vector<Member> read_tar(const char* path) {
  FileSource source(path);
  TarReader reader(source);
  std::vector<Member> members;
  while (auto entry = reader.next()) {
    Member member{std::move(*entry), {}};
    while (const auto data = reader.read_data()) {
      member.data.append(reinterpret_cast<const char*>(data->bytes.data()), data->bytes.size());
    }
    members.push_back(std::move(member));
  }
  return members;
}

// The directories that are open, outermost first. Tars come in the order of a walk, so that one is
// opened once; its time is set when it is left.
class OpenDirectories {
 public:
  explicit OpenDirectories(int root) { stack_.push_back({"", root, {}}); }
  ~OpenDirectories() {
    while (stack_.size() > 1) leave();
  }

  // The descriptor of what `name` lies in, and the name there.
  std::pair<int, const char*> parent_of(const std::string& name) {
    const size_t slash = name.rfind('/');
    const std::string_view parent =
        slash == std::string::npos ? "" : std::string_view(name).substr(0, slash);
    while (stack_.back().path != parent) leave();
    return {stack_.back().fd, name.c_str() + (slash == std::string::npos ? 0 : slash + 1)};
  }

  void enter(const std::string& path, int at, const char* name, timespec mtime) {
    const int fd = ::openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    check(fd, "open directory");
    stack_.push_back({path, fd, mtime});
  }

 private:
  struct Directory {
    std::string path;
    int fd;
    timespec mtime;
  };

  void leave() {
    const std::array<timespec, 2> times = {stack_.back().mtime, stack_.back().mtime};
    check(::futimens(stack_.back().fd, times.data()), "set times");
    ::close(stack_.back().fd);
    stack_.pop_back();
  }

  std::vector<Directory> stack_;
};

void make_file(int at, const char* name, const Member& member,
               const std::array<timespec, 2>& times) {
  const TarEntry& entry = member.entry;
  const int fd = ::openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, entry.mode);
  check(fd, "create");
  if (!member.data.empty()) check(::write(fd, member.data.data(), member.data.size()), "write");
  if (entry.uid != 0 || entry.gid != 0) {
    check(::fchown(fd, static_cast<uid_t>(entry.uid), static_cast<gid_t>(entry.gid)), "chown");
  }
  for (const auto& [attribute, value] : entry.xattrs) {
    check(::fsetxattr(fd, attribute.c_str(), value.data(), value.size(), 0), "set xattr");
  }
  check(::futimens(fd, times.data()), "set times");
  ::close(fd);
}

void make_all(const std::vector<Member>& members, int root) {
  OpenDirectories directories(root);
  for (const Member& member : members) {
    const TarEntry& entry = member.entry;
    std::string path = entry.name;
    if (path.back() == '/') path.pop_back();
    const auto [at, name] = directories.parent_of(path);
    const timespec mtime = {entry.mtime.seconds, 0};
    const std::array<timespec, 2> times = {mtime, mtime};
    switch (entry.type) {
      case TarType::Directory:
        check(::mkdirat(at, name, entry.mode), "mkdir");
        directories.enter(path, at, name, mtime);
        break;
      case TarType::Symlink:
        check(::symlinkat(entry.link_name.c_str(), at, name), "symlink");
        check(::utimensat(at, name, times.data(), AT_SYMLINK_NOFOLLOW), "set times");
        break;
      case TarType::HardLink:
        check(::linkat(root, entry.link_name.c_str(), at, name, 0), "link");
        break;
      default: make_file(at, name, member, times);
    }
  }
}

class Reader {
 public:
  Reader() : out_(::open("/dev/null", O_WRONLY | O_CLOEXEC)) { check(out_, "/dev/null"); }

  void walk(int directory) {
    for (const sys::DirEntry& entry : sys::list_directory(directory)) {
      struct stat info;
      check(::fstatat(directory, entry.name.c_str(), &info, AT_SYMLINK_NOFOLLOW), "stat");
      if (S_ISDIR(info.st_mode)) {
        const int inside =
            ::openat(directory, entry.name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        check(inside, "open directory");
        std::array<char, 256> names;
        check(::flistxattr(inside, names.data(), names.size()), "list xattrs");
        write_out(512);
        walk(inside);
        ::close(inside);
      } else if (S_ISLNK(info.st_mode)) {
        check(::readlinkat(directory, entry.name.c_str(), buffer_.data(), buffer_.size()),
              "readlink");
        write_out(512);
      } else {
        read_file(directory, entry.name.c_str());
      }
    }
  }

 private:
  void read_file(int directory, const char* name) {
    const int fd = ::openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    check(fd, "open");
    std::array<char, 256> names;
    check(::flistxattr(fd, names.data(), names.size()), "list xattrs");
    for (size_t at = 512;;) {  // the header goes out with the first of the data
      const ssize_t count = ::read(fd, buffer_.data() + at, buffer_.size() - at);
      check(count, "read");
      if (static_cast<size_t>(count) < buffer_.size() - at) {
        write_out(at + static_cast<size_t>(count));
        break;
      }
      write_out(buffer_.size());
      at = 0;
    }
    ::close(fd);
  }

  void write_out(size_t size) { check(::write(out_, buffer_.data(), size), "write"); }

  int out_;
  std::vector<char> buffer_ = std::vector<char>(256 << 10);
};

// What a container layer needs on disk, made in one place and moved into another, as whatever must
// be there whole or not at all.
class Containers {
 public:
  explicit Containers(int home) : home_(home) {
    for (const char* name : {"l", "staging", "trash"}) check(::mkdirat(home, name, 0700), "mkdir");
    for (int i = 0; i < 20; ++i) {
      const std::string id = "lower-" + std::to_string(i);
      check(::mkdirat(home, id.c_str(), 0710), "mkdir");
      check(::mkdirat(home, (id + "/diff").c_str(), 0755), "mkdir");
      lowers_.push_back("l/" + std::to_string(i));
      check(::symlinkat(("../" + id + "/diff").c_str(), home, lowers_.back().c_str()), "symlink");
      lower_file_ += (i > 0 ? ":" : "") + lowers_.back();
    }
  }

  void come_and_go(const std::string& id) {
    const std::string staged = "staging/" + id;
    check(::mkdirat(home_, staged.c_str(), 0710), "mkdir");
    check(::mkdirat(home_, (staged + "/diff").c_str(), 0755), "mkdir");
    check(::mkdirat(home_, (staged + "/work").c_str(), 0700), "mkdir");
    write_file(staged + "/link", id);
    write_file(staged + "/lower", lower_file_);
    check(::symlinkat(("../" + id + "/diff").c_str(), home_, ("l/" + id).c_str()), "symlink");
    check(::renameat(home_, staged.c_str(), home_, id.c_str()), "rename");
    const std::string merged = id + "/merged";
    check(::mkdirat(home_, merged.c_str(), 0700), "mkdir");
    mount(id, merged);
    check(::chdir("/proc/self/fd"), "chdir");
    check(::umount2((std::to_string(home_) + "/" + merged).c_str(), MNT_DETACH), "unmount");
    check(::unlinkat(home_, merged.c_str(), AT_REMOVEDIR), "rmdir");
    check(::renameat(home_, id.c_str(), home_, ("trash/" + id).c_str()), "rename");
    check(::unlinkat(home_, ("l/" + id).c_str(), 0), "unlink");
  }

 private:
  void write_file(const std::string& path, const std::string& content) const {
    const int fd = ::openat(home_, path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    check(fd, "create");
    check(::write(fd, content.data(), content.size()), "write");
    ::close(fd);
  }

  void mount(const std::string& id, const std::string& merged) const {
    const int context = ::fsopen("overlay", FSOPEN_CLOEXEC);
    check(context, "fsopen");
    check(::fsconfig(context, FSCONFIG_SET_STRING, "index", "off", 0), "index");
    for (const std::string& lower : lowers_) set_layer(context, "lowerdir+", lower);
    set_layer(context, "upperdir", id + "/diff");
    set_layer(context, "workdir", id + "/work");
    check(::fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0), "create the overlay");
    const int mounted = ::fsmount(context, FSMOUNT_CLOEXEC, 0);
    check(mounted, "fsmount");
    check(::move_mount(mounted, "", home_, merged.c_str(), MOVE_MOUNT_F_EMPTY_PATH), "move_mount");
    ::close(mounted);
    ::close(context);
  }

  void set_layer(int context, const char* key, const std::string& path) const {
    const int fd = ::openat(home_, path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    check(fd, "open layer");
    check(::fsconfig(context, FSCONFIG_SET_FD, key, nullptr, fd), "set layer");
    ::close(fd);
  }

  int home_;
  std::vector<std::string> lowers_;
  std::string lower_file_;
};

// Seconds for one.
double live(int home, int times) {
  Containers containers(home);
  const auto begin = Clock::now();
  for (int i = 0; i < times; ++i) containers.come_and_go("container-" + std::to_string(i));
  return std::chrono::duration<double>(Clock::now() - begin).count() / times;
}

std::string reply_with(const std::string& body) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

// Calls are small and come one at a time, so that a request is there when its body's end is.
void answer(int client, const std::string& changes_file) {
  const std::string changes = reply_with(
      sys::try_read_file(AT_FDCWD, changes_file, 64 << 20).value_or(R"({"Changes":[]})"));
  const std::string other = reply_with(R"({"Exists":true,"Dir":"/"})");
  std::array<char, 4096> buffer;
  std::string request;
  while (const ssize_t count = ::recv(client, buffer.data(), buffer.size(), 0)) {
    check(count, "receive");
    request.append(buffer.data(), static_cast<size_t>(count));
    if (!request.ends_with("}\n")) continue;
    const bool wants_changes = request.find("/GraphDriver.Changes ") != std::string::npos;
    sys::write_full(client, as_bytes(wants_changes ? changes : other));
    request.clear();
  }
  ::close(client);
}

[[noreturn]] void answer_everything(const char* path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  check(::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
  check(::listen(listener, 16), "listen");
  for (;;) {
    const int client = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    check(client, "accept");
    std::thread(answer, client, std::string(path) + ".changes").detach();
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc > 1 ? argv[1] : "";
  const bool applies = what == "apply" || what == "apply-synced";
  const bool takes_two = applies || what == "live";
  if (argc != (takes_two ? 4 : 3) || (!takes_two && what != "diff" && what != "answer")) {
    std::fprintf(stderr,
                 "usage: floor apply[-synced] TAR DIRECTORY | diff DIRECTORY | "
                 "live DIRECTORY TIMES | answer SOCKET\n");
    return 2;
  }
  if (what == "answer") answer_everything(argv[2]);
  std::vector<Member> members;
  if (applies) members = read_tar(argv[2]);
  ::umask(0);
  const char* const path = applies ? argv[3] : argv[2];
  const UniqueFd root = sys::openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
  if (what == "live") {
    std::printf("%.9f\n", live(root.get(), std::atoi(argv[3])));
    return 0;
  }
  const auto begin = Clock::now();
  if (applies) {
    make_all(members, root.get());
    if (what == "apply-synced") check(::syncfs(root.get()), "syncfs");
  } else {
    Reader().walk(root.get());
  }
  std::printf("%.6f\n", std::chrono::duration<double>(Clock::now() - begin).count());
}
