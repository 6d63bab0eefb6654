// SPDX-License-Identifier: Apache-2.0
//
// FakeDataRoot: what an engine keeps on its own driver, in small: an image of two layers, a
// container on it, and a container of another driver.
#pragma once

#include <fcntl.h>

#include <filesystem>
#include <map>
#include <string>

#include "core/layout.h"
#include "core/sys.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tree_dump.h"

namespace overlayd::test {

/// Its layers have names that no other test gives to any: who has a layer mounted is found out in
/// all mount namespaces, and by its name.
struct FakeDataRoot {
  FakeDataRoot() {
    directory("overlay2/l");
    layer("overlay2", "moved1", 'A');
    layer("overlay2", "moved2", 'B', "A");
    layer("overlay2", "moved3-init", 'C', "BA");
    layer("overlay2", "moved3", 'D', "CBA");
    put("overlay2/moved1/diff/file", "content");
    directory("image/overlay2/distribution");
    put("image/overlay2/layerdb/sha256/c1/cache-id", "moved1");
    put("image/overlay2/layerdb/sha256/c2/cache-id", "moved2");
    put("image/overlay2/layerdb/mounts/web/mount-id", "moved3");
    put("image/overlay2/layerdb/mounts/web/init-id", "moved3-init");
    put("image/overlay2/imagedb/content/sha256/i1", "{}");
    put("image/overlay2/repositories.json", "{}");
    container("web", "overlay2");
    container("old", "aufs");
    put("volumes/metadata.db", "");
  }

  std::string path() const { return dir.path(); }

  void directory(const std::string& path) const { std::filesystem::create_directories(dir / path); }
  void put(const std::string& path, const std::string& content) const {
    directory(std::filesystem::path(path).parent_path());
    dir.write(path, content);
  }
  static std::string link(char letter) { return std::string(layout::kLinkLength, letter); }
  /// On the layers with the links `lowers`, nearest first.
  void layer(const std::string& home, const std::string& id, char letter,
             const std::string& lowers = "") {
    const std::string at = home + "/" + id;
    directory(at + "/diff");
    put(at + "/link", link(letter));
    sys::symlinkat("../" + id + "/diff", dir.fd(), home + "/l/" + link(letter));
    by_letter[letter] = at;
    if (lowers.empty()) return;
    put(by_letter[lowers.front()] + "/committed", "");
    std::vector<std::string> links;
    for (const char lower : lowers) links.push_back(link(lower));
    put(at + "/lower", layout::format_lower(links));
    directory(at + "/work/work");
  }
  void container(const std::string& id, const std::string& driver, bool is_running = false) const {
    put("containers/" + id + "/config.v2.json",
        R"({"State":{"Running":)" + std::string(is_running ? "true" : "false") + R"(},"Name":"/)" +
            id + R"(","Driver":")" + driver +
            R"(","MountPoints":{"/v":{"Driver":"overlay2"}},"Size":1.50})");
  }
  /// Of what an engine makes at a start, with nothing in it.
  void empty_home(const std::string& home) const {
    directory(home + "/l");
    put(home + "/backingFsBlockDev", "");
  }
  void empty_images(const std::string& driver) const {
    const std::string at = "image/" + driver;
    for (const char* name : {"/distribution", "/imagedb/content/sha256", "/layerdb/tmp"}) {
      directory(at + name);
    }
    put(at + "/repositories.json", "{}");
  }

  std::string tree() const { return tree_text(dir.fd()); }
  bool has(const std::string& path) const { return sys::try_fstatat(dir.fd(), path).has_value(); }

  TempDir dir;
  std::map<char, std::string> by_letter;
};

}  // namespace overlayd::test
