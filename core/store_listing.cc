// SPDX-License-Identifier: Apache-2.0
#include "core/store_listing.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <functional>
#include <future>
#include <span>
#include <string_view>
#include <thread>
#include <utility>

#include "core/content_digest.h"
#include "core/error.h"
#include "core/layout.h"
#include "core/record_line.h"
#include "core/sys.h"

namespace overlayd {
namespace {

constexpr std::string_view kHeader = "overlayd listing 1";
constexpr char kLinksKind = 'l', kLinkKind = 'n', kLayerKind = 'd', kEndKind = '=';
constexpr char kAbsent[] = "-";
constexpr char kDamage[] = "the record of the store's listing is damaged";
constexpr off_t kMaxRecord = off_t{256} << 20;
constexpr mode_t kRecordMode = 0600;

/// File systems count time in ticks of the kernel's clock, and old formats of ext4 in seconds.
constexpr std::chrono::milliseconds kSettling{1500};

constexpr std::pair<char, bool LayerContents::*> kFlags[] = {
    {'d', &LayerContents::diff},     {'w', &LayerContents::work},
    {'m', &LayerContents::merged},   {'c', &LayerContents::committed},
    {'r', &LayerContents::removed},  {'p', &LayerContents::partial},
    {'s', &LayerContents::has_size}, {'g', &LayerContents::has_digests},
};

using Links = std::unordered_map<std::string, std::optional<std::string>>;

/// work(0) to work(count - 1), in a few threads if there are many: a large store is read in files
/// of a few bytes, and the time goes into opening them.
void for_each_in_parallel(size_t count, const std::function<void(size_t)>& work) {
  constexpr size_t kWorthAThread = 200;
  const size_t threads = std::clamp<size_t>(
      count / kWorthAThread, 1, std::clamp(std::thread::hardware_concurrency(), 1U, 4U));
  std::vector<std::future<void>> running;
  for (size_t thread = 1; thread < threads; ++thread) {
    const auto share = [&work, thread, threads, count] {
      for (size_t i = thread; i < count; i += threads) work(i);
    };
    running.push_back(sys::starting_thread([&] { return std::async(std::launch::async, share); }));
  }
  for (size_t i = 0; i < count; i += threads) work(i);
  for (std::future<void>& other : running) other.get();
}

// ---------------------------------------------------------------------------------------- stamps

/// By what it is seen that an inode is as it was.
struct Stamp {
  ino_t inode = 0;
  int64_t changed = 0;  // nanoseconds
  off_t size = 0;
  bool operator==(const Stamp&) const = default;
};

/// Of what a layer's contents are read from.
struct LayerStamps {
  Stamp directory, link;
  std::optional<Stamp> lower, size;
  bool operator==(const LayerStamps&) const = default;
};

Stamp stamp_of(const struct stat& info) {
  constexpr int64_t kSecond = 1'000'000'000;
  return {.inode = info.st_ino,
          .changed = info.st_ctim.tv_sec * kSecond + info.st_ctim.tv_nsec,
          .size = info.st_size};
}

// nullopt for what is not there, or cannot be looked at: whoever reads it says why.
std::optional<Stamp> stamp_of(int home, const std::string& path) {
  struct stat info {};
  if (::fstatat(home, path.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return std::nullopt;
  return stamp_of(info);
}

// nullopt for a layer that is not complete, or that was removed meanwhile.
std::optional<LayerStamps> stamps_of(int home, const LayerId& id, bool has_lower, bool has_size) {
  const auto directory = stamp_of(home, id.str());
  const auto link = stamp_of(home, layout::in_layer(id, layout::kLink));
  if (!directory || !link) return std::nullopt;
  LayerStamps stamps{.directory = *directory, .link = *link, .lower = {}, .size = {}};
  if (has_lower) stamps.lower = stamp_of(home, layout::in_layer(id, layout::kLower));
  if (has_size) stamps.size = stamp_of(home, layout::in_layer(id, layout::kSize));
  return stamps;
}

// ---------------------------------------------------------------------------------------- record

/// As in the record, whose text they are.
struct RecordedLayer {
  LayerContents contents() const;

  std::string_view line, flags, link, id;
  std::optional<std::string_view> lower;
  std::optional<int64_t> size;
  LayerStamps stamps;
};

struct RecordedLinks {
  Stamp directory;
  std::vector<std::pair<std::string_view, std::string_view>> links;
};

struct Record {
  std::vector<char> text;
  std::vector<RecordedLayer> layers;  // by id
  std::optional<RecordedLinks> links;
};

LayerContents RecordedLayer::contents() const {
  LayerContents contents;
  for (const auto& [letter, flag] : kFlags) {
    contents.*flag = flags.find(letter) != std::string_view::npos;
  }
  contents.link = link;
  contents.lower = lower;
  contents.size = size;
  return contents;
}

void append_stamp(std::string& line, const Stamp& stamp) {
  append_number(line, stamp.inode);
  append_number(line, stamp.changed);
  append_number(line, stamp.size);
}

void append_file(std::string& line, const std::optional<Stamp>& stamp, const std::string& says) {
  if (stamp) {
    append_stamp(line, *stamp);
    line += says;
  } else {
    line += kAbsent;
  }
  line += ' ';
}

std::string line_of(const LayerId& id, const LayerContents& contents, const LayerStamps& stamps) {
  std::string line = {kLayerKind, ' '};
  for (const auto& [letter, flag] : kFlags) {
    if (contents.*flag) line += letter;
  }
  line += ' ';
  append_stamp(line, stamps.directory);
  append_stamp(line, stamps.link);
  (line += *contents.link) += ' ';
  append_file(line, stamps.lower, contents.lower.value_or(""));
  append_file(line, stamps.size, std::to_string(contents.size.value_or(0)));
  return line += id.str();
}

class RecordParser {
 public:
  explicit RecordParser(std::string_view text) : text_(text), rest_(text) {}

  /// All but the text.
  Record parse() {
    if (line() != kHeader) refuse();
    for (;;) {
      const std::string_view whole = line();
      RecordLine words(whole, kDamage);
      const std::string_view kind = words.word();
      if (kind.size() != 1) refuse();
      switch (kind.front()) {
        case kLinksKind: parse_links(words); break;
        case kLinkKind: parse_link(words); break;
        case kLayerKind: parse_layer(whole, words); break;
        case kEndKind: {
          const auto before = static_cast<size_t>(whole.data() - text_.data());
          if (words.rest() != to_text(digest_of(text_.substr(0, before))) || !rest_.empty())
            refuse();
          return std::move(record_);
        }
        default: refuse();
      }
    }
  }

 private:
  [[noreturn]] static void refuse() { throw Error(ErrorKind::Corrupt, kDamage); }

  std::string_view line() {
    const size_t end = rest_.find('\0');
    if (end == std::string_view::npos) refuse();
    const std::string_view line = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return line;
  }

  static Stamp parse_stamp(RecordLine& words, std::string_view inode) {
    Stamp stamp;
    stamp.inode = words.number_in<ino_t>(inode);
    stamp.changed = words.number<int64_t>();
    stamp.size = words.number<off_t>();
    return stamp;
  }
  static Stamp parse_stamp(RecordLine& words) { return parse_stamp(words, words.word()); }

  void parse_links(RecordLine& words) {
    record_.links.emplace();
    record_.links->directory = parse_stamp(words);
  }

  void parse_link(RecordLine& words) {
    if (!record_.links) refuse();
    const std::string_view link = words.word();
    record_.links->links.emplace_back(link, words.rest());
  }

  void parse_layer(std::string_view whole, RecordLine& words) {
    RecordedLayer layer;
    layer.line = whole;
    layer.flags = words.word();
    layer.stamps.directory = parse_stamp(words);
    layer.stamps.link = parse_stamp(words);
    layer.link = words.word();
    if (const std::string_view first = words.word(); first != kAbsent) {
      layer.stamps.lower = parse_stamp(words, first);
      layer.lower = words.word();
    }
    if (const std::string_view first = words.word(); first != kAbsent) {
      layer.stamps.size = parse_stamp(words, first);
      layer.size = words.number<int64_t>();
    }
    layer.id = words.rest();
    if (!record_.layers.empty() && record_.layers.back().id >= layer.id) refuse();
    record_.layers.push_back(layer);
  }

  const std::string_view text_;
  std::string_view rest_;
  Record record_;
};

// What cannot be read is as good as none.
Record load_record(int home) {
  try {
    const UniqueFd file =
        sys::try_openat(home, layout::kListingFile, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    if (!file) return {};
    const off_t size = sys::fstat(file.get()).st_size;
    if (size > kMaxRecord) return {};
    std::vector<char> text(static_cast<size_t>(size));
    text.resize(sys::read_full(file.get(), std::as_writable_bytes(std::span(text))));
    Record record = RecordParser({text.data(), text.size()}).parse();
    record.text = std::move(text);
    return record;
  } catch (const std::exception&) {
    return {};
  }
}

// --------------------------------------------------------------------------------------- reading

/// Reads once, but not what is as recorded.
class Reader {
 public:
  enum class By { Layers, Record };

  Reader(int home, By by) : home_(home) {
    std::future<Record> loading;
    if (by == By::Record) {
      loading = sys::starting_thread(
          [&] { return std::async(std::launch::async, [home] { return load_record(home); }); });
    }
    ids_ = layer_ids();
    if (loading.valid()) record_ = loading.get();
  }

  StoreListing read_all() {
    StoreListing listing;
    std::vector<std::optional<ListedLayer>> read_ones(ids_.size());
    std::vector<char> is_recorded(ids_.size());  // not bool: threads share no element
    for_each_in_parallel(ids_.size(), [&](size_t i) {
      if (const RecordedLayer* const recorded = unchanged(ids_[i])) {
        read_ones[i] = ListedLayer{.id = ids_[i], .contents = recorded->contents()};
        is_recorded[i] = 1;
      } else {
        read_ones[i] = read(ids_[i]);
      }
    });
    listing.layers.reserve(ids_.size());
    for (std::optional<ListedLayer>& layer : read_ones) {
      if (layer) listing.layers.push_back(*std::move(layer));
    }
    listing.as_recorded = static_cast<size_t>(std::ranges::count(is_recorded, 1));
    if (const UniqueFd links = open_links()) listing.links = read_links(links.get());
    return listing;
  }

  // The text of the record as it is to be at `now`.
  std::string read_for_record(std::chrono::system_clock::time_point now) {
    const std::chrono::nanoseconds since_epoch = (now - kSettling).time_since_epoch();
    const int64_t settled = since_epoch.count();
    std::vector<std::string> lines(ids_.size());
    for_each_in_parallel(ids_.size(), [&](size_t i) { lines[i] = recordable(ids_[i], settled); });
    std::string text(kHeader);
    text += '\0';
    text += recordable_links(settled);
    for (const std::string& line : lines) {
      if (!line.empty()) (text += line) += '\0';
    }
    const std::string digest = to_text(digest_of(text));
    ((text += kEndKind) += ' ') += digest;
    text += '\0';
    return text;
  }

 private:
  std::vector<LayerId> layer_ids() const {
    std::vector<LayerId> ids;
    for (const sys::DirEntry& entry : sys::list_directory(home_)) {
      if (entry.name.starts_with('.') || entry.name == layout::kLinkDirectory) continue;
      if (entry.type == DT_DIR) ids.push_back(LayerId::parse(entry.name));
    }
    return ids;
  }

  // Null for what is to be read.
  const RecordedLayer* unchanged(const LayerId& id) const {
    const auto recorded =
        std::ranges::lower_bound(record_.layers, id.str(), {}, &RecordedLayer::id);
    if (recorded == record_.layers.end() || recorded->id != id.str()) return nullptr;
    const LayerStamps& then = recorded->stamps;
    const auto now = stamps_of(home_, id, then.lower.has_value(), then.size.has_value());
    return now == then ? &*recorded : nullptr;
  }

  // nullopt for a directory that is no layer.
  std::optional<ListedLayer> read(const LayerId& id) const {
    try {
      auto contents = read_layer(home_, id);
      if (!contents) return std::nullopt;
      return ListedLayer{.id = id, .contents = *std::move(contents)};
    } catch (const SysError& error) {
      // It was listed, so it was removed meanwhile, under a survey of a store that is served.
      if (error.errnum() == ENOENT) return std::nullopt;
      if (tells_of_want(error.errnum())) throw;
      return ListedLayer{.id = id, .contents = {}, .damage = error.what()};
    }
  }

  // Its line; empty for what is not to be recorded.
  std::string recordable(const LayerId& id, int64_t settled) const {
    if (const RecordedLayer* const recorded = unchanged(id)) return std::string(recorded->line);
    // The stamps first: what changes after that is seen by them.
    const auto stamps = stamps_of(home_, id, true, true);
    if (!stamps || !is_settled(*stamps, settled)) return {};
    const auto listed = read(id);
    if (!listed || !is_recordable(listed->contents, *stamps)) return {};
    return line_of(id, listed->contents, *stamps);
  }

  static bool is_settled(const LayerStamps& stamps, int64_t settled) {
    return std::max({stamps.directory.changed, stamps.link.changed,
                     stamps.lower.value_or(Stamp()).changed,
                     stamps.size.value_or(Stamp()).changed}) < settled;
  }

  // What is damaged or half made is looked at by every start.
  static bool is_recordable(const LayerContents& contents, const LayerStamps& stamps) {
    const auto& lower = contents.lower;
    return contents.diff && !contents.partial && contents.unfinished.empty() && contents.link &&
           layout::is_link(*contents.link) && stamps.lower.has_value() == lower.has_value() &&
           (!lower || layout::is_whole_lower(*lower)) &&
           stamps.size.has_value() == contents.has_size &&
           contents.size.has_value() == contents.has_size;
  }

  // ---------------------------------------------------------------------------------------- l/

  UniqueFd open_links() const {
    return sys::try_openat(home_, layout::kLinkDirectory, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  }

  Links read_links(int directory) const {
    Links links;
    if (record_.links && record_.links->directory == stamp_of(sys::fstat(directory))) {
      links.reserve(record_.links->links.size());
      for (const auto& [link, target] : record_.links->links) links.emplace(link, target);
      return links;
    }
    const std::vector<sys::DirEntry> entries = sys::list_directory(directory);
    std::vector<std::optional<std::string>> targets(entries.size());
    for_each_in_parallel(
        entries.size(), [&](size_t i) { targets[i] = target_of_link(directory, entries[i].name); });
    links.reserve(entries.size());
    for (size_t i = 0; i < entries.size(); ++i) {
      links.emplace(entries[i].name, std::move(targets[i]));
    }
    return links;
  }

  // nullopt also for what is no symlink.
  static std::optional<std::string> target_of_link(int dirfd, const std::string& path) {
    try {
      return sys::try_readlinkat(dirfd, path);
    } catch (const SysError& error) {
      if (error.errnum() == EINVAL) return std::nullopt;
      throw;
    }
  }

  // The lines of l/; none if it is not to be recorded.
  std::string recordable_links(int64_t settled) const {
    const UniqueFd directory = open_links();
    if (!directory) return {};
    const Stamp stamp = stamp_of(sys::fstat(directory.get()));
    if (stamp.changed >= settled) return {};
    std::string lines = {kLinksKind, ' '};
    append_stamp(lines, stamp);
    lines += '\0';
    for (const auto& [link, target] : read_links(directory.get())) {
      if (!layout::is_link(link) || !target) return {};
      (lines += kLinkKind) += ' ';
      ((lines += link) += ' ') += *target;
      lines += '\0';
    }
    return lines;
  }

  const int home_;
  std::vector<LayerId> ids_;
  Record record_;
};

}  // namespace

StoreListing read_listing(int home) { return Reader(home, Reader::By::Layers).read_all(); }

StoreListing read_listing_by_record(int home) {
  return Reader(home, Reader::By::Record).read_all();
}

void record_listing(int home, std::chrono::system_clock::time_point now) {
  const std::string text = Reader(home, Reader::By::Record).read_for_record(now);
  sys::write_file_atomically(home, layout::kListingFile, text, kRecordMode);
}

}  // namespace overlayd
