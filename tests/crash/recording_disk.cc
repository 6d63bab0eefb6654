// SPDX-License-Identifier: Apache-2.0
#include "tests/crash/recording_disk.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#define FUSE_USE_VERSION 35
#include <fuse_lowlevel.h>

#include "core/error.h"
#include "core/sys.h"

namespace overlayd::test {
namespace {

/// How long nothing must come until what came is answered.
constexpr int kQuietMilliseconds = 1;
constexpr fuse_ino_t kDiskInode = 2;
constexpr double kForever = 86400;

/// The one file, in the process that serves it.
class DiskFile {
 public:
  DiskFile(const std::string& image, DiskLog& log) : log_(log) {
    const UniqueFd fd = sys::openat(AT_FDCWD, image, O_RDONLY);
    size_ = static_cast<size_t>(sys::fstat(fd.get()).st_size);
    void* memory = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd.get(), 0);
    if (memory == MAP_FAILED) throw_errno("map", image);
    bytes_ = static_cast<char*>(memory);
  }

  void attributes(fuse_ino_t inode, struct stat& info) const {
    info = {};
    info.st_ino = inode;
    info.st_nlink = 1;
    info.st_mode = inode == FUSE_ROOT_ID ? S_IFDIR | 0700U : S_IFREG | 0600U;
    if (inode == kDiskInode) info.st_size = static_cast<off_t>(size_);
  }

  void read(fuse_req_t request, size_t length, off_t offset) const {
    const size_t from = std::min(static_cast<size_t>(offset), size_);
    fuse_reply_buf(request, bytes_ + from, std::min(length, size_ - from));
  }

  void write(fuse_req_t request, const char* bytes, size_t length, off_t offset) {
    const auto from = static_cast<size_t>(offset);
    if (from > size_ || length > size_ - from) {
      fuse_reply_err(request, ENOSPC);
      return;
    }
    std::memcpy(bytes_ + from, bytes, length);
    const uint32_t position = log_.append_write(from, as_bytes(std::string_view(bytes, length)));
    waiting_.push_back({request, position, length});
  }

  void flush(fuse_req_t request) {
    log_.append_done(log_.append_flush());
    fuse_reply_err(request, 0);
  }

  bool someone_waits() const { return !waiting_.empty(); }

  void answer_all() {
    for (const Waiting& one : waiting_) log_.append_done(one.position);
    for (const Waiting& one : waiting_) fuse_reply_write(one.request, one.length);
    waiting_.clear();
  }

 private:
  struct Waiting {
    fuse_req_t request;
    uint32_t position;
    size_t length;
  };

  static std::span<const std::byte> as_bytes(std::string_view text) {
    return std::as_bytes(std::span(text.data(), text.size()));
  }

  DiskLog& log_;
  char* bytes_ = nullptr;
  size_t size_ = 0;
  std::vector<Waiting> waiting_;
};

DiskFile& file_of(fuse_req_t request) {
  return *static_cast<DiskFile*>(fuse_req_userdata(request));
}

void on_init(void*, fuse_conn_info* connection) {
  connection->want |= connection->capable & FUSE_CAP_ASYNC_DIO;
  // All that a file system has under way at once must be able to wait for its answer.
  connection->max_background = 4096;
  connection->congestion_threshold = 4096;
}

void on_lookup(fuse_req_t request, fuse_ino_t, const char* name) {
  if (std::string_view(name) != "disk") {
    fuse_reply_err(request, ENOENT);
    return;
  }
  fuse_entry_param entry{};
  entry.ino = kDiskInode;
  entry.attr_timeout = entry.entry_timeout = kForever;
  file_of(request).attributes(kDiskInode, entry.attr);
  fuse_reply_entry(request, &entry);
}

void on_getattr(fuse_req_t request, fuse_ino_t inode, fuse_file_info*) {
  struct stat info;
  file_of(request).attributes(inode, info);
  fuse_reply_attr(request, &info, kForever);
}

void on_open(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
  info->direct_io = 1;
  fuse_reply_open(request, info);
}

void on_read(fuse_req_t request, fuse_ino_t, size_t length, off_t offset, fuse_file_info*) {
  file_of(request).read(request, length, offset);
}

void on_write(fuse_req_t request, fuse_ino_t, const char* bytes, size_t length, off_t offset,
              fuse_file_info*) {
  file_of(request).write(request, bytes, length, offset);
}

void on_fsync(fuse_req_t request, fuse_ino_t, int, fuse_file_info*) {
  file_of(request).flush(request);
}

fuse_session* mount_disk(DiskFile& file, const std::string& directory) {
  static const fuse_lowlevel_ops operations = [] {
    fuse_lowlevel_ops ops{};
    ops.init = on_init;
    ops.lookup = on_lookup;
    ops.getattr = on_getattr;
    ops.open = on_open;
    ops.read = on_read;
    ops.write = on_write;
    ops.fsync = on_fsync;
    return ops;
  }();
  char program[] = "recording-disk";
  char* words[] = {program, nullptr};
  fuse_args arguments = FUSE_ARGS_INIT(1, words);
  fuse_session* session = fuse_session_new(&arguments, &operations, sizeof operations, &file);
  if (session == nullptr || fuse_session_mount(session, directory.c_str()) != 0) {
    throw Error(ErrorKind::Internal, "cannot mount the recording disk on " + quoted(directory));
  }
  return session;
}

void serve(fuse_session* session, DiskFile& file) {
  fuse_buf buffer{};
  while (!fuse_session_exited(session)) {
    pollfd ready{fuse_session_fd(session), POLLIN, 0};
    const int count = ::poll(&ready, 1, file.someone_waits() ? kQuietMilliseconds : -1);
    if (count == 0) {
      file.answer_all();
      continue;
    }
    const int length = fuse_session_receive_buf(session, &buffer);
    if (length == -EINTR) continue;
    if (length <= 0) break;
    fuse_session_process_buf(session, &buffer);
  }
  std::free(buffer.mem);
}

[[noreturn]] void run_server(const std::string& image, const std::string& directory, DiskLog& log,
                             int mounted) {
  try {
    DiskFile file(image, log);
    fuse_session* session = mount_disk(file, directory);
    sys::write_full(mounted, std::as_bytes(std::span("m", 1)));
    serve(session, file);
    ::_exit(0);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "recording disk: %s\n", error.what());
    ::_exit(1);
  }
}

}  // namespace

RecordingDisk::RecordingDisk(const std::string& image, const std::string& directory)
    : directory_(directory) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw_errno("make", "a pipe");
  const UniqueFd mounted(ends[0]);
  UniqueFd tell(ends[1]);
  server_ = ::fork();
  if (server_ < 0) throw_errno("start", "the recording disk");
  if (server_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    run_server(image, directory, log_, tell.get());
  }
  tell.reset();
  std::byte answer;
  if (sys::read_full(mounted.get(), std::span(&answer, 1)) != 1) {
    ::waitpid(server_, nullptr, 0);
    throw Error(ErrorKind::Internal, "the recording disk did not start");
  }
}

RecordingDisk::~RecordingDisk() {
  ::umount2(directory_.c_str(), MNT_DETACH);
  ::waitpid(server_, nullptr, 0);
}

}  // namespace overlayd::test
