// SPDX-License-Identifier: Apache-2.0
#include "core/write_back.h"

#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "core/closing_fds.h"
#include "core/commit.h"
#include "core/error.h"
#include "core/thread_behind.h"

namespace overlayd {
namespace {

// Handed over together, so that handing over does not show. Two of these may be waiting.
constexpr size_t kBatch = 32;

// Files on their way to the disk: enough to keep it busy.
constexpr size_t kMaxUnderWay = 192;

struct File {
  UniqueFd fd;
  std::string path;
};
using Files = std::vector<File>;

}  // namespace

struct WriteBack::Impl {
  void take(File file);
  void finish();

  // The thread's; or the user's, when there is none.
  void write(Files files);
  void finish_oldest();

  std::deque<File> under_way;  // the thread's, oldest first
  ClosingFds written;          // the thread's
  Files filling;               // the user's
  ThreadBehind thread;
};

void WriteBack::Impl::take(File file) {
  filling.push_back(std::move(file));
  if (filling.size() < kBatch) return;
  thread.leave([this, files = std::make_shared<Files>(std::exchange(filling, {}))] {
    write(std::move(*files));
  });
}

void WriteBack::Impl::finish() {
  thread.finish();
  write(std::exchange(filling, {}));
  while (!under_way.empty()) finish_oldest();
}

void WriteBack::Impl::write(Files files) {
  for (File& file : files) {
    with_context([&] { return "file " + quoted(file.path); },
                 [&] { Commit::start_writing(file.fd.get()); });
    under_way.push_back(std::move(file));
  }
  while (under_way.size() > kMaxUnderWay) finish_oldest();
}

void WriteBack::Impl::finish_oldest() {
  File file = std::move(under_way.front());
  under_way.pop_front();
  with_context([&] { return "file " + quoted(file.path); },
               [&] { Commit::finish_writing(file.fd.get()); });
  written.add(std::move(file.fd));
}

WriteBack::WriteBack() : impl_(std::make_unique<Impl>()) {}
WriteBack::~WriteBack() = default;
void WriteBack::take(UniqueFd file, std::string path) {
  impl_->take({std::move(file), std::move(path)});
}
void WriteBack::finish() { impl_->finish(); }

}  // namespace overlayd
