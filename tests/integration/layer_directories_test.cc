// SPDX-License-Identifier: Apache-2.0
#include "core/layer_directories.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "core/acl.h"
#include "core/error.h"
#include "core/layer_apply.h"
#include "core/sys.h"
#include "core/whiteout.h"
#include "core/xattr.h"
#include "tests/integration/overlay_fixture.h"
#include "tests/support/root_sandbox.h"
#include "tests/support/tar_builder.h"
#include "tests/support/tree_dump.h"

namespace overlayd::test {
namespace {

constexpr timespec kOld{12345, 678};

// u::rwx u:7:r-x g::r-x m::r-x o::---
const std::string kAcl(
    "\2\0\0\0\1\0\7\0\xff\xff\xff\xff\2\0\5\0\7\0\0\0\4\0\5\0\xff\xff\xff\xff\20\0\5\0\xff\xff"
    "\xff\xff"
    "\40\0\0\0\xff\xff\xff\xff",
    44);

/// A lower layer with a directory of its own kind ("tmp", 1777, 5:6, an xattr), a symlinked one
/// ("lib" to "usr/lib"), and an empty layer on it to extract into.
struct OnALower : RootSandbox {
  OnALower() {
    make_dirs(fd(), "lower/usr/lib");
    make_dirs(fd(), "lower/tmp/deep");
    make_dirs(fd(), "layer");
    lower = sys::openat(fd(), "lower", O_RDONLY | O_DIRECTORY);
    layer = sys::openat(fd(), "layer", O_RDONLY | O_DIRECTORY);
    put_file(lower.get(), "file", "below");
    sys::symlinkat("usr/lib", lower.get(), "lib");
    sys::symlinkat("/usr", lower.get(), "absolute");
    sys::symlinkat("../../../../tmp", lower.get(), "usr/up");
    sys::symlinkat("nowhere", lower.get(), "dangling");
    sys::symlinkat("circle", lower.get(), "circle");
    const UniqueFd tmp = sys::openat(lower.get(), "tmp", O_RDONLY | O_DIRECTORY);
    sys::fchown(tmp.get(), 5, 6);
    sys::fchmod(tmp.get(), 01777);
    xattr::set({tmp.get(), ""}, "user.color", "blue");
    const timespec times[2] = {kOld, kOld};
    REQUIRE(::futimens(tmp.get(), times) == 0);
  }

  int64_t apply(const TarBuilder& tar) {
    StringSource source(tar.str());
    const OpenLower open_lower = [&] {
      std::vector<UniqueFd> stack;
      stack.push_back(sys::openat(lower.get(), ".", O_RDONLY | O_DIRECTORY));
      return MergedDir(std::move(stack));
    };
    return apply_layer_tar(layer.get(), {}, source, {.open_lower = open_lower}).size;
  }

  std::string refusal(const TarBuilder& tar) {
    try {
      apply(tar);
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::BadArchive);
      return error.what();
    }
    return "accepted";
  }

  std::string line(const std::string& path) const {
    for (const std::string& text : tree_dump(layer.get())) {
      if (text.starts_with(path + ": ")) return text.substr(path.size() + 2);
    }
    return "absent";
  }

  UniqueFd lower, layer;
};

TEST_SUITE("layer_directories") {
  TEST_CASE_FIXTURE(OnALower, "a directory that the tar leaves out is like the one below") {
    apply(TarBuilder().file("tmp/new", "x").file("tmp/deep/new", "y").end());
    CHECK(line("tmp") == "directory 1777 5:6 user.color='blue'");
    CHECK(line("tmp/deep") == "directory 0755 0:0");
    const timespec mtime = sys::fstatat(layer.get(), "tmp").st_mtim;
    CHECK(mtime.tv_sec == kOld.tv_sec);
    CHECK(mtime.tv_nsec == kOld.tv_nsec);
  }

  TEST_CASE_FIXTURE(OnALower, "a directory that no layer has is plain") {
    apply(TarBuilder().file("brand/new/file", "x").end());
    CHECK(line("brand") == "directory 0755 0:0");
    CHECK(line("brand/new") == "directory 0755 0:0");
  }

  TEST_CASE_FIXTURE(OnALower, "a parent that is a symlink below is followed and not hidden") {
    apply(TarBuilder()
              .file("lib/a", "1")
              .file("absolute/b", "2")
              .file("usr/up/c", "3")
              .file("lib/d", "4")
              .end());
    CHECK(line("lib") == "absent");
    CHECK(line("absolute") == "absent");
    CHECK(line("usr/up") == "absent");
    CHECK(content_of(layer.get(), "usr/lib/a") == "1");
    CHECK(content_of(layer.get(), "usr/b") == "2");
    CHECK(content_of(layer.get(), "tmp/c") == "3");
    CHECK(content_of(layer.get(), "usr/lib/d") == "4");
  }

  TEST_CASE_FIXTURE(OnALower, "a symlink of the layer to a directory below is followed") {
    apply(TarBuilder()
              .header({.name = "mine", .type = '2', .link_name = "tmp"})
              .file("mine/f", "x")
              .end());
    CHECK(line("mine").starts_with("symlink"));
    CHECK(line("tmp") == "directory 1777 5:6 user.color='blue'");
    CHECK(content_of(layer.get(), "tmp/f") == "x");
  }

  TEST_CASE_FIXTURE(OnALower, "the layer's own objects win over what is below") {
    apply(TarBuilder()
              .header({.name = "lib/", .type = '5', .mode = 0700})
              .file("lib/a", "1")
              .header({.name = "tmp/", .type = '5', .mode = 0700})
              .file("tmp/b", "2")
              .end());
    CHECK(line("lib") == "directory 0700 0:0");
    CHECK(content_of(layer.get(), "lib/a") == "1");
    CHECK(line("tmp") == "directory 0700 0:0");
  }

  TEST_CASE_FIXTURE(OnALower, "a parent deleted by the same tar is made anew and opaque") {
    apply(TarBuilder().file(".wh.tmp").file("tmp/f", "x").end());
    CHECK(whiteout::is_opaque({layer.get(), "tmp"}));
    CHECK(line("tmp") == "directory 0755 0:0 trusted.overlay.opaque='y'");
    // What it held below is gone, so its old mode means nothing either.
    apply(TarBuilder().file("tmp/deep/g", "y").end());
    CHECK(line("tmp/deep") == "directory 0755 0:0");
  }

  TEST_CASE_FIXTURE(OnALower, "a directory replaces a file below") {
    apply(TarBuilder().file("file/f", "x").end());
    CHECK(line("file") == "directory 0755 0:0");
  }

  TEST_CASE_FIXTURE(OnALower, "symlinks that lead nowhere or in a circle are refused") {
    CHECK(refusal(TarBuilder().file("dangling/f", "x").end()) ==
          "entry 'dangling/f' at offset 0: a parent is a symlink to 'nowhere', which is not there");
    CHECK(refusal(TarBuilder().file("circle/f", "x").end())
              .starts_with("entry 'circle/f' at offset 0: "));
    CHECK(tree_dump(layer.get()).size() == 1);
  }

  TEST_CASE_FIXTURE(OnALower, "a hard link finds its target through a symlink below") {
    apply(TarBuilder()
              .file("lib/a", "1")
              .header({.name = "lib/b", .type = '1', .link_name = "lib/a"})
              .end());
    CHECK(line("usr/lib/b") == "same as usr/lib/a");
  }

  TEST_CASE_FIXTURE(OnALower, "a hard link to a file that only the lower has is refused") {
    CHECK(refusal(TarBuilder().header({.name = "h", .type = '1', .link_name = "file"}).end()) ==
          "entry 'h' at offset 0: hard link to 'file', which is not in this layer");
  }

  TEST_CASE_FIXTURE(OnALower, "a directory's own member outdoes what was copied before it came") {
    apply(
        TarBuilder().file("tmp/f", "x").header({.name = "tmp/", .type = '5', .mode = 0700}).end());
    CHECK(line("tmp") == "directory 0700 0:0");
  }

  TEST_CASE_FIXTURE(OnALower, "making an implied directory leaves the times around it alone") {
    apply(TarBuilder()
              .header({.name = "d/", .type = '5', .mode = 0755, .mtime = 1000})
              .file("d/.wh.x")
              .file("d/x/f", "1")
              .file("d/y/f", "2")
              .end());
    CHECK(sys::fstatat(layer.get(), "d").st_mtim.tv_sec == 1000);
  }

  // On a mount with `grpid` the directory's group counts, on others the process's.
  TEST_CASE_FIXTURE(OnALower,
                    "the group of what is new is certain only where no mount option counts") {
    for (const char* name : {"ours", "theirs", "theirs-set-gid"})
      sys::mkdirat(layer.get(), name, 0755);
    const UniqueFd theirs = sys::openat(layer.get(), "theirs", O_RDONLY | O_DIRECTORY);
    const UniqueFd set_gid = sys::openat(layer.get(), "theirs-set-gid", O_RDONLY | O_DIRECTORY);
    sys::fchown(theirs.get(), 0, 6);
    sys::fchown(set_gid.get(), 0, 6);
    sys::fchmod(set_gid.get(), 02755);
    const IdMaps maps;
    LayerDirectories directories(layer.get(), maps, {});
    directories.enter("ours");
    CHECK(directories.gives_group(0));
    CHECK_FALSE(directories.gives_group(6));
    directories.enter("theirs");
    CHECK_FALSE(directories.gives_group(0));
    CHECK_FALSE(directories.gives_group(6));
    directories.enter("theirs-set-gid");
    CHECK_FALSE(directories.gives_group(0));
    CHECK(directories.gives_group(6));
  }

  TEST_CASE_FIXTURE(OnALower, "a whiteout's owner need not be in the id map") {
    const IdMaps maps{IdMap({{0, 100000, 10}}), IdMap({{0, 200000, 10}})};
    const std::string tar =
        TarBuilder().header({.name = ".wh.x", .uid = 100000, .gid = 5}).end().str();
    StringSource source(tar);
    apply_layer_tar(layer.get(), maps, source);
    CHECK(line("x") == "character device 0000 100000:200005 0,0");
  }

  TEST_CASE_FIXTURE(OnALower, "hard links into aufs's own directory share one file") {
    const int64_t size =
        apply(TarBuilder()
                  .header({.name = ".wh..wh.aufs"})
                  .header({.name = ".wh..wh.plnk/", .type = '5', .mode = 0700})
                  .file(".wh..wh.plnk/8.2", "shared")
                  .file(".wh..wh.plnk/8.3", "unused")
                  .header({.name = "a", .type = '1', .link_name = ".wh..wh.plnk/8.2"})
                  .header({.name = "tmp/b", .type = '1', .link_name = ".wh..wh.plnk/8.2"})
                  .end());
    CHECK(size == 6);
    CHECK(content_of(layer.get(), "a") == "shared");
    CHECK(line("tmp/b") == "same as a");
    CHECK(sys::list_directory(layer.get()).size() == 2);  // a, tmp
  }

  TEST_CASE_FIXTURE(OnALower, "directories that the tar leaves out do not inherit ACLs") {
    xattr::set({lower.get(), "tmp"}, acl::kDefaultXattr, kAcl);
    apply(TarBuilder().file("tmp/deep/f", "x").file("tmp/new/f", "x").end());
    CHECK(xattr::get({layer.get(), "tmp"}, acl::kDefaultXattr) == kAcl);
    for (const char* name : {"tmp/deep", "tmp/deep/f", "tmp/new", "tmp/new/f"}) {
      CAPTURE(name);
      CHECK(xattr::list({layer.get(), name}).empty());
    }
    CHECK(line("tmp/deep").starts_with("directory 0755 0:0"));
    CHECK(line("tmp/new").starts_with("directory 0755 0:0"));
  }

  TEST_CASE_FIXTURE(OnALower, "members do not inherit ACLs, they have those the tar gives them") {
    const std::string record = std::string("SCHILY.xattr.");
    apply(TarBuilder()
              .pax({{record + acl::kDefaultXattr, kAcl}})
              .header({.name = "d/", .type = '5', .mode = 0755})
              .file("d/plain", "x")
              .header({.name = "d/sub/", .type = '5', .mode = 0755})
              .pax({{record + acl::kAccessXattr, kAcl}})
              .member({.name = "d/with", .mode = 0750}, "x")
              .file("d/sub/f", "x")
              .file("d/last", "x")
              .end());
    CHECK(xattr::get({layer.get(), "d"}, acl::kDefaultXattr) == kAcl);
    CHECK(xattr::list({layer.get(), "d/plain"}).empty());
    CHECK(line("d/plain") == "file 0644 0:0 'x'");
    CHECK(xattr::list({layer.get(), "d/sub"}).empty());
    CHECK(xattr::get({layer.get(), "d/with"}, acl::kAccessXattr) == kAcl);
    CHECK(xattr::list({layer.get(), "d/last"}).empty());
    // The next tar meets the directory as it is.
    apply(TarBuilder().file("d/found", "x").header({.name = "d/", .type = '5'}).end());
    CHECK(xattr::list({layer.get(), "d/found"}).empty());
    CHECK(xattr::list({layer.get(), "d"}).empty());
  }
}

}  // namespace
}  // namespace overlayd::test
