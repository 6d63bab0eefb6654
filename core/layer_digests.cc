// SPDX-License-Identifier: Apache-2.0
#include "core/layer_digests.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "core/directory_walk.h"
#include "core/error.h"
#include "core/record_line.h"
#include "core/sys.h"

namespace overlayd {
namespace {

constexpr std::string_view kHeader = "overlayd digests 1";
constexpr std::string_view kKinds = "flhcbpw";
constexpr char kEnd = '=';

constexpr size_t kWriteSize = 32 * 1024;
constexpr size_t kReadSize = 128 * 1024;
constexpr size_t kMaxLine = 8 * 1024;  // a path is no longer than 4096 bytes

constexpr char kDamage[] = "the record of its digests is damaged";

[[noreturn]] void refuse() { throw Error(ErrorKind::Corrupt, kDamage); }

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

RecordedFile parse_line(std::string_view line) {
  RecordLine words(line, kDamage);
  RecordedFile file;
  const std::string_view kind = words.word();
  if (kind.size() != 1 || kKinds.find(kind.front()) == std::string_view::npos) refuse();
  file.kind = static_cast<FileKind>(kind.front());
  file.mode = words.number<mode_t>(8);
  file.uid = words.number<uid_t>();
  file.gid = words.number<gid_t>();
  file.size = words.number<uint64_t>();
  const auto digest = parse_digest(words.word());
  if (!digest || words.rest().empty()) refuse();
  file.digest = *digest;
  file.path = words.rest();
  return file;
}

/// The lines of a file, and the digest of those before the current one.
class Lines {
 public:
  explicit Lines(int file) : file_(file), buffer_(kReadSize, '\0') {}

  std::string_view next() {
    size_t end = buffer_.find('\0', at_);
    while (end == std::string::npos || end >= filled_) {
      if (filled_ - at_ > kMaxLine || !fill()) refuse();
      end = buffer_.find('\0', at_);
    }
    const std::string_view line(buffer_.data() + at_, end - at_);
    at_ = end + 1;
    return line;
  }

  /// Of all but `last`, the line that next() gave last.
  Digest digest_before(std::string_view last) {
    const uint64_t end = offset_ + at_ - last.size() - 1;
    digest_.add(offset_, bytes_of(buffer_).first(end - offset_));
    return digest_.finish(end);
  }

  bool is_at_end() { return at_ == filled_ && !fill(); }

 private:
  // What was used goes. False at the end of the file.
  bool fill() {
    digest_.add(offset_, bytes_of(buffer_).first(at_));
    offset_ += at_;
    std::copy(buffer_.begin() + static_cast<ptrdiff_t>(at_),
              buffer_.begin() + static_cast<ptrdiff_t>(filled_), buffer_.begin());
    filled_ -= std::exchange(at_, 0);
    const size_t count = sys::read_full(
        file_, std::as_writable_bytes(std::span(buffer_.data() + filled_, kReadSize - filled_)));
    filled_ += count;
    return count > 0;
  }

  int file_;
  std::string buffer_;
  size_t at_ = 0, filled_ = 0;
  uint64_t offset_ = 0;  // of the buffer, in the file
  ContentDigest digest_;
};

FileKind kind_of(const struct stat& info) {
  switch (info.st_mode & S_IFMT) {
    case S_IFREG: return FileKind::Regular;
    case S_IFLNK: return FileKind::Symlink;
    case S_IFCHR: return FileKind::CharDevice;
    case S_IFBLK: return FileKind::BlockDevice;
    case S_IFIFO: return FileKind::Fifo;
    default: return FileKind::Socket;
  }
}

RecordedFile described(const struct stat& info, std::string path) {
  return {.kind = kind_of(info),
          .mode = info.st_mode & 07777,
          .uid = info.st_uid,
          .gid = info.st_gid,
          .size = static_cast<uint64_t>(info.st_size),
          .path = std::move(path)};
}

}  // namespace

// -------------------------------------------------------------------------------------- writing

DigestsWriter::DigestsWriter(UniqueFd file) : file_(std::move(file)) { begin(); }

void DigestsWriter::begin() {
  pending_ = kHeader;
  end_line();
}

void DigestsWriter::add(const RecordedFile& file) {
  (pending_ += static_cast<char>(file.kind)) += ' ';
  append_number(pending_, file.mode, 8);
  append_number(pending_, file.uid);
  append_number(pending_, file.gid);
  append_number(pending_, file.size);
  (pending_ += to_text(file.digest)) += ' ';
  pending_ += file.path;
  end_line();
}

void DigestsWriter::end_line() {
  pending_ += '\0';
  if (pending_.size() >= kWriteSize) write();
}

void DigestsWriter::write() {
  digest_.add(written_, bytes_of(pending_));
  with_context("record digests", [&] { sys::write_full(file_.get(), bytes_of(pending_)); });
  written_ += pending_.size();
  pending_.clear();
}

void DigestsWriter::start_over() {
  digest_ = ContentDigest();
  written_ = 0;
  if (sys::retry_eintr([&] { return ::ftruncate(file_.get(), 0); }) != 0 ||
      ::lseek(file_.get(), 0, SEEK_SET) != 0) {
    throw_errno([] { return "record digests anew"; });
  }
  begin();
}

UniqueFd DigestsWriter::finish() {
  write();
  pending_ = std::string{kEnd, ' '} + to_text(digest_.finish(written_));
  end_line();
  write();
  return std::move(file_);
}

void record_tree(int root, DigestsWriter& writer) {
  std::array<FileReader, kWalkThreads> readers;
  std::mutex mutex;
  std::vector<UniqueFd> layer;
  layer.push_back(sys::openat(root, ".", O_RDONLY | O_DIRECTORY));
  walk_directories(MergedDir(std::move(layer)), [&](const VisitedDirectory& directory) {
    for (const MergedDir::Entry& entry : directory.list) {
      if (entry.is_directory()) continue;
      const RecordedFile file =
          readers[directory.thread].read(entry, directory.prefix + entry.name());
      const std::lock_guard lock(mutex);
      writer.add(file);
    }
  });
}

// -------------------------------------------------------------------------------------- reading

void read_digests(int file, const std::function<void(RecordedFile)>& sink) {
  Lines lines(file);
  if (lines.next() != kHeader) refuse();
  for (;;) {
    const std::string_view line = lines.next();
    if (!line.starts_with(kEnd)) {
      sink(parse_line(line));
      continue;
    }
    if (line.substr(1) != " " + to_text(lines.digest_before(line)) || !lines.is_at_end()) refuse();
    return;
  }
}

FileReader::FileReader() : buffer_(new std::byte[kReadSize]) {}

RecordedFile FileReader::read(const MergedDir::Entry& entry, std::string path) {
  if (entry.is_whiteout()) return {.kind = FileKind::Whiteout, .path = std::move(path)};
  if (entry.type() == S_IFREG) {
    const UniqueFd fd =
        sys::openat(entry.dirfd(), entry.name(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOATIME);
    RecordedFile file = described(sys::fstat(fd.get()), std::move(path));
    file.digest = digest_of_content(fd.get(), file.size);
    return file;
  }
  RecordedFile file = described(entry.info(), std::move(path));
  if (file.kind == FileKind::Symlink) {
    const std::string target = sys::readlinkat(entry.dirfd(), entry.name());
    file.size = target.size();
    file.digest = digest_of(target);
  } else {
    file.size = entry.info().st_rdev;
  }
  return file;
}

// Data only: a few bytes on disk may stand for any size.
Digest FileReader::digest_of_content(int file, uint64_t size) const {
  ContentDigest digest;
  const std::span<std::byte> buffer(buffer_.get(), kReadSize);
  for (off_t at = 0; (at = ::lseek(file, at, SEEK_DATA)) >= 0;) {
    const off_t end = ::lseek(file, at, SEEK_HOLE);
    if (end < 0 || ::lseek(file, at, SEEK_SET) < 0) break;
    while (at < end) {
      const auto wanted = std::min<size_t>(buffer.size(), static_cast<size_t>(end - at));
      const size_t count = sys::read_full(file, buffer.first(wanted));
      if (count == 0) return digest.finish(size);  // it has shrunk meanwhile
      digest.add(static_cast<uint64_t>(at), buffer.first(count));
      at += static_cast<off_t>(count);
    }
  }
  if (errno != ENXIO) throw_errno([] { return "find the data of a file"; });
  return digest.finish(size);
}

}  // namespace overlayd
