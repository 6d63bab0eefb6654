// SPDX-License-Identifier: Apache-2.0
//
// The floor: what applying a layer and reading one out again cost when nothing but the needed
// system calls is made, in one thread, without a socket. Prints the seconds it took. Run by run.sh.
//
//   floor apply TAR DIRECTORY     the tar is read and taken apart before the clock starts
//   floor diff DIRECTORY          headers and data go to /dev/null
//   floor answer SOCKET           a plugin that gives every call the same answer at once, until it
//   is killed:
//                                 what remains is the engine's own share of a call
#include <fcntl.h>
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

// Calls are small and come one at a time, so that a request is there when its body's end is.
void answer(int client) {
  static constexpr std::string_view kBody = R"({"Exists":true,"Dir":"/"})";
  const std::string reply = "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(kBody.size()) +
                            "\r\n\r\n" + std::string(kBody);
  std::array<char, 4096> buffer;
  std::string request;
  while (const ssize_t count = ::recv(client, buffer.data(), buffer.size(), 0)) {
    check(count, "receive");
    request.append(buffer.data(), static_cast<size_t>(count));
    if (!request.ends_with("}\n")) continue;
    request.clear();
    check(::send(client, reply.data(), reply.size(), MSG_NOSIGNAL), "send");
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
    std::thread(answer, client).detach();
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc > 1 ? argv[1] : "";
  if (argc != (what == "apply" ? 4 : 3) ||
      (what != "apply" && what != "diff" && what != "answer")) {
    std::fprintf(stderr, "usage: floor apply TAR DIRECTORY | diff DIRECTORY | answer SOCKET\n");
    return 2;
  }
  if (what == "answer") answer_everything(argv[2]);
  std::vector<Member> members;
  if (what == "apply") members = read_tar(argv[2]);
  ::umask(0);
  const UniqueFd root = sys::openat(AT_FDCWD, argv[argc - 1], O_RDONLY | O_DIRECTORY);
  const auto begin = Clock::now();
  if (what == "apply") {
    make_all(members, root.get());
  } else {
    Reader().walk(root.get());
  }
  std::printf("%.6f\n", std::chrono::duration<double>(Clock::now() - begin).count());
}
