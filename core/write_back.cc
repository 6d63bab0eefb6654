// SPDX-License-Identifier: Apache-2.0
#include "core/write_back.h"

#include <condition_variable>
#include <deque>
#include <exception>
#include <iterator>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "core/commit.h"
#include "core/error.h"
#include "core/sys.h"

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

}  // namespace

struct WriteBack::Impl {
  ~Impl();

  void take(File file);
  void hand_over();
  void finish();

  // The thread; or the user's, when there is none.
  void write_all();
  std::vector<File> next();
  void write(std::vector<File> files, size_t most_under_way);
  void finish_oldest();

  std::vector<File> filling;   // the user's
  std::deque<File> under_way;  // the thread's, oldest first
  std::exception_ptr error;    // the thread's; after it files are only closed

  std::mutex mutex;
  std::condition_variable changed;
  std::vector<File> waiting;
  bool closing = false;
  bool abandoned = false;

  std::thread thread;
};

WriteBack::Impl::~Impl() {
  if (!thread.joinable()) return;
  {
    const std::lock_guard lock(mutex);
    closing = abandoned = true;
  }
  changed.notify_all();
  thread.join();
}

void WriteBack::Impl::take(File file) {
  filling.push_back(std::move(file));
  if (filling.size() == kBatch) hand_over();
}

void WriteBack::Impl::hand_over() {
  if (!thread.joinable()) {
    thread = sys::starting_thread([this] { return std::thread([this] { write_all(); }); });
  }
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return waiting.empty(); });
    waiting = std::exchange(filling, {});
  }
  changed.notify_all();
}

void WriteBack::Impl::finish() {
  if (thread.joinable()) {
    if (!filling.empty()) hand_over();
    {
      const std::lock_guard lock(mutex);
      closing = true;
    }
    changed.notify_all();
    thread.join();
  } else {
    write(std::exchange(filling, {}), 0);
  }
  if (error) std::rethrow_exception(error);
}

void WriteBack::Impl::write_all() {
  for (std::vector<File> files = next(); !files.empty(); files = next()) {
    write(std::move(files), kMaxUnderWay);
  }
  write({}, 0);
}

// Nothing at the end.
std::vector<File> WriteBack::Impl::next() {
  std::vector<File> files;
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return !waiting.empty() || closing; });
    files = std::exchange(waiting, {});
    if (abandoned) {
      under_way.clear();
      return {};
    }
  }
  changed.notify_all();
  return files;
}

void WriteBack::Impl::write(std::vector<File> files, size_t most_under_way) {
  try {
    if (error) return;
    for (File& file : files) {
      with_context([&] { return "file " + quoted(file.path); },
                   [&] { Commit::start_writing(file.fd.get()); });
      under_way.push_back(std::move(file));
    }
    while (under_way.size() > most_under_way) finish_oldest();
  } catch (...) {
    error = std::current_exception();
    under_way.clear();
  }
}

void WriteBack::Impl::finish_oldest() {
  const File file = std::move(under_way.front());
  under_way.pop_front();
  with_context([&] { return "file " + quoted(file.path); },
               [&] { Commit::finish_writing(file.fd.get()); });
}

WriteBack::WriteBack() : impl_(std::make_unique<Impl>()) {}
WriteBack::~WriteBack() = default;
void WriteBack::take(UniqueFd file, std::string path) {
  impl_->take({std::move(file), std::move(path)});
}
void WriteBack::finish() { impl_->finish(); }

}  // namespace overlayd
