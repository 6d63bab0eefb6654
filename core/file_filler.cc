// SPDX-License-Identifier: Apache-2.0
#include "core/file_filler.h"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/closing_fds.h"
#include "core/error.h"
#include "core/sys.h"
#include "core/thread_behind.h"

namespace overlayd {
namespace {

// Handed over together, so that handing over does not show. Three batches hold open files and
// buffers: one is being collected, one waits, one is being worked on.
struct Limits {
  size_t files, buffers;
};
constexpr Limits kMost = {64, 16};
constexpr Limits kWorthIt = {32, 3};  // when there is nothing else to do

using Buffer = std::shared_ptr<const std::byte[]>;

bool is_same(const Buffer& a, const Buffer& b) { return !a.owner_before(b) && !b.owner_before(a); }

struct Batch {
  std::vector<std::variant<NewFile, TarReader::Data>> steps;
  size_t files = 0, buffers = 0;
  Buffer last_buffer;

  void add(NewFile file) {
    steps.emplace_back(std::move(file));
    ++files;
  }
  void add(TarReader::Data data) {
    if (!is_same(data.buffer, last_buffer)) ++buffers;
    last_buffer = data.buffer;
    steps.emplace_back(std::move(data));
  }
  bool reaches(const Limits& limits) const {
    return files >= limits.files || buffers >= limits.buffers;
  }
};

void write_at(int fd, std::span<const std::byte> bytes, uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_errno([] { return std::string("write"); });
    bytes = bytes.subspan(static_cast<size_t>(count));
    offset += static_cast<uint64_t>(count);
  }
}

// A sparse file may end in a hole.
void extend(int fd, uint64_t size) {
  if (sys::retry_eintr([&] { return ::ftruncate(fd, static_cast<off_t>(size)); }) != 0) {
    throw_errno([] { return std::string("set the size"); });
  }
}

// Last: everything else changes them.
void set_times(int fd, const timespec& mtime) {
  const std::array<timespec, 2> times = {mtime, mtime};  // layer tars carry no atime
  if (::futimens(fd, times.data()) != 0) throw_errno([] { return std::string("set the times"); });
}

}  // namespace

struct FileFiller::Impl {
  explicit Impl(WriteBack* the_write_back) : write_back(the_write_back) {}

  void hand_over_at(const Limits& limits);

  // The thread's; or the user's, when there is none.
  void work_on(Batch batch);
  void write(const TarReader::Data& data);
  void complete();

  WriteBack* write_back;
  std::optional<NewFile> file;  // the thread's, being filled
  uint64_t end = 0;             // of its data so far
  ClosingFds filled;            // the thread's
  Batch filling;                // the user's
  ThreadBehind thread;
};

void FileFiller::Impl::hand_over_at(const Limits& limits) {
  if (!filling.reaches(limits)) return;
  thread.leave([this, batch = std::make_shared<Batch>(std::exchange(filling, {}))] {
    work_on(std::move(*batch));
  });
}

void FileFiller::Impl::work_on(Batch batch) {
  for (auto& step : batch.steps) {
    if (auto* const next = std::get_if<NewFile>(&step)) {
      complete();
      file = std::move(*next);
    } else {
      write(std::get<TarReader::Data>(step));
    }
  }
}

void FileFiller::Impl::write(const TarReader::Data& data) {
  blaming(file->member, [&] { write_at(file->fd.get(), data.bytes, data.offset); });
  end = data.offset + data.bytes.size();
}

void FileFiller::Impl::complete() {
  if (!file) return;
  NewFile done = *std::exchange(file, std::nullopt);
  const uint64_t data_end = std::exchange(end, 0);
  blaming(done.member, [&] {
    const int fd = done.fd.get();
    if (data_end < done.size) extend(fd, done.size);
    set_attributes({fd, ""}, done.attributes);
    set_times(fd, done.mtime);
  });
  if (data_end > 0 && write_back != nullptr) {
    write_back->take(std::move(done.fd), std::move(done.member.name));
  } else {
    filled.add(std::move(done.fd));
  }
}

FileFiller::FileFiller(WriteBack* write_back) : impl_(std::make_unique<Impl>(write_back)) {}
FileFiller::~FileFiller() = default;

void FileFiller::begin(NewFile file) {
  impl_->filling.add(std::move(file));
  impl_->hand_over_at(kMost);
}

void FileFiller::add(TarReader::Data data) {
  impl_->filling.add(std::move(data));
  impl_->hand_over_at(kMost);
}

void FileFiller::hand_over() { impl_->hand_over_at(kWorthIt); }

bool FileFiller::has_failed() const { return impl_->thread.has_failed(); }

void FileFiller::finish() {
  Impl& impl = *impl_;
  impl.thread.finish();
  impl.work_on(std::exchange(impl.filling, {}));
  impl.complete();
}

}  // namespace overlayd
