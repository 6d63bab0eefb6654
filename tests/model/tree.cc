// SPDX-License-Identifier: Apache-2.0
#include "tests/model/tree.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "core/error.h"
#include "core/stream.h"
#include "core/tar_reader.h"
#include "tests/support/tar_builder.h"

namespace overlayd::model {
namespace {

constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";

// Small, but for one in forty, which does not fit into a socket.
size_t wanted_size(uint64_t file) {
  return file % 40 == 7 ? 300000 + file % 1000 : file * 37 % 600;
}

[[noreturn]] void unexpected(const std::string& what) {
  throw Error(ErrorKind::BadArchive, "in the tar is " + what);
}

std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

std::string joined(const std::string& directory, std::string_view name) {
  return (directory.empty() ? "" : directory + "/") + std::string(name);
}

void erase_below(Tree& tree, const std::string& directory) {
  std::erase_if(tree, [&](const auto& entry) { return entry.first.starts_with(directory + "/"); });
}

void erase(Tree& tree, const std::string& path) {
  erase_below(tree, path);
  tree.erase(path);
}

void put(Tree& tree, const Member& member) {
  if (member.kind == Member::Kind::Directory) {
    tree[member.path] = kDirectory;
  } else if (member.kind == Member::Kind::File) {
    erase(tree, member.path);
    tree[member.path] = member.file;
  }
}

std::string read_data(TarReader& reader) {
  std::string content;
  while (const auto run = reader.read_data()) {
    content.append(reinterpret_cast<const char*>(run->bytes.data()), run->bytes.size());
  }
  return content;
}

Member member_of(const TarEntry& entry, TarReader& reader) {
  if (entry.type == TarType::Directory) {
    if (entry.mode != 0755) unexpected("a directory of another mode: " + entry.name);
    return {Member::Kind::Directory, entry.name.substr(0, entry.name.size() - 1)};
  }
  if (entry.type != TarType::Regular) unexpected("something of another type: " + entry.name);
  const std::string name = name_of(entry.name);
  const std::string directory = directory_of(entry.name);
  if (name == kOpaque) return {Member::Kind::Opaque, directory};
  if (name.starts_with(kWhiteout)) {
    return {Member::Kind::Whiteout, joined(directory, name.substr(kWhiteout.size()))};
  }
  const uint64_t file = file_of(read_data(reader));
  if (file == kDirectory) unexpected("a file that nobody has written: " + entry.name);
  if (entry.mode != 0644 || entry.mtime.seconds != mtime_of(file)) {
    unexpected("a file of another mode or time: " + entry.name);
  }
  return {Member::Kind::File, entry.name, file};
}

}  // namespace

std::string directory_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

bool is_directory(const Tree& tree, const std::string& path) {
  const auto found = tree.find(path);
  return path.empty() || (found != tree.end() && found->second == kDirectory);
}

std::string content_of(uint64_t file) {
  std::string content = "file " + std::to_string(file) + "\n";
  content.resize(std::max(content.size(), wanted_size(file)), 'x');
  return content;
}

int64_t mtime_of(uint64_t file) { return 1'000'000'000 + static_cast<int64_t>(file); }

uint64_t file_of(std::string_view content) {
  constexpr std::string_view kWord = "file ";
  uint64_t file = kDirectory;
  if (content.starts_with(kWord)) {
    std::from_chars(content.data() + kWord.size(), content.data() + content.size(), file);
  }
  return file != kDirectory && content == content_of(file) ? file : kDirectory;
}

std::string tar_of(const Members& members) {
  test::TarBuilder tar;
  for (const Member& member : members) {
    switch (member.kind) {
      case Member::Kind::Directory:
        tar.header({.name = member.path + "/", .type = '5', .mode = 0755});
        break;
      case Member::Kind::File:
        tar.member({.name = member.path, .mtime = static_cast<uint64_t>(mtime_of(member.file))},
                   content_of(member.file));
        break;
      case Member::Kind::Whiteout:
        tar.file(joined(directory_of(member.path), std::string(kWhiteout) + name_of(member.path)));
        break;
      case Member::Kind::Opaque: tar.file(joined(member.path, kOpaque)); break;
    }
  }
  return tar.end().str();
}

Members members_of(const std::string& tar) {
  StringSource source(tar);
  TarReader reader(source);
  Members members;
  while (const auto entry = reader.next()) members.push_back(member_of(*entry, reader));
  return members;
}

Tree files_of(const Members& members) {
  Tree files;
  for (const Member& member : members) {
    if (member.kind == Member::Kind::File) files[member.path] = member.file;
  }
  return files;
}

// What a tar deletes is of the layers below only.
Tree applied(const Members& members, const Tree& lower) {
  Tree tree = lower;
  for (const Member& member : members) {
    if (member.kind == Member::Kind::Whiteout) erase(tree, member.path);
    if (member.kind == Member::Kind::Opaque) erase_below(tree, member.path);
  }
  for (const Member& member : members) put(tree, member);
  return tree;
}

Tree carried(const Tree& now, const Tree& before) {
  Tree files;
  for (const auto& [path, file] : now) {
    const auto old = before.find(path);
    if (file != kDirectory && (old == before.end() || old->second != file)) files[path] = file;
  }
  return files;
}

int64_t size_of(const Tree& files) {
  size_t size = 0;
  for (const auto& [path, file] : files) size += content_of(file).size();
  return static_cast<int64_t>(size);
}

std::string changes_between(const Tree& now, const Tree& before) {
  constexpr char kModified = '0', kAdded = '1', kDeleted = '2';
  std::map<std::string, char> changes;
  for (const auto& [path, file] : now) {
    const auto old = before.find(path);
    if (old == before.end()) {
      changes[path] = kAdded;
    } else if (old->second != file) {
      changes[path] = kModified;
    }
  }
  // What was in a directory that is none any more is not told of.
  for (const auto& [path, file] : before) {
    if (!now.contains(path) && is_directory(now, directory_of(path))) changes[path] = kDeleted;
  }
  const auto found = changes;
  for (const auto& [path, kind] : found) {
    for (std::string above = directory_of(path); !above.empty(); above = directory_of(above)) {
      changes.emplace(above, kModified);
    }
  }
  std::string list;
  for (const auto& [path, kind] : changes) {
    list += (list.empty() ? "" : ",") + ("{\"Path\":\"/" + path + "\",\"Kind\":") + kind + "}";
  }
  return "{\"Changes\":[" + list + "]}\n";
}

bool possible(const Edit& edit, const Tree& tree) {
  if (!is_directory(tree, directory_of(edit.path))) return false;
  switch (edit.kind) {
    case Edit::Kind::Write: return !is_directory(tree, edit.path);
    case Edit::Kind::MakeDirectory: return !tree.contains(edit.path);
    case Edit::Kind::Remove: return tree.contains(edit.path);
    default: return is_directory(tree, edit.path);
  }
}

Tree edited(const Edit& edit, Tree tree) {
  switch (edit.kind) {
    case Edit::Kind::Write: tree[edit.path] = edit.file; break;
    case Edit::Kind::MakeDirectory: tree[edit.path] = kDirectory; break;
    case Edit::Kind::Remove: erase(tree, edit.path); break;
    case Edit::Kind::Replace:
      erase_below(tree, edit.path);
      tree[edit.path + "/a"] = edit.file;
      break;
  }
  return tree;
}

std::string to_string(const Member& member) {
  switch (member.kind) {
    case Member::Kind::Directory: return member.path + "/";
    case Member::Kind::File: return member.path + "=" + std::to_string(member.file);
    case Member::Kind::Whiteout: return "-" + member.path;
    default: return member.path + "/*";
  }
}

std::string to_string(const Edit& edit) {
  switch (edit.kind) {
    case Edit::Kind::Write: return "write " + edit.path + "=" + std::to_string(edit.file);
    case Edit::Kind::MakeDirectory: return "mkdir " + edit.path;
    case Edit::Kind::Remove: return "rm -r " + edit.path;
    default: return "replace " + edit.path + "/ by one with a=" + std::to_string(edit.file);
  }
}

}  // namespace overlayd::model
