// SPDX-License-Identifier: Apache-2.0
#include "core/layer_apply.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>

#include <doctest/doctest.h>

#include "core/acl.h"
#include "core/confinement.h"
#include "core/content_check.h"
#include "core/error.h"
#include "core/layer_diff.h"
#include "core/mount.h"
#include "core/sys.h"
#include "core/whiteout.h"
#include "core/xattr.h"
#include "tests/integration/overlay_fixture.h"
#include "tests/integration/store_fixture.h"
#include "tests/support/tar_builder.h"
#include "tests/support/tree_dump.h"

namespace overlayd::test {
namespace {

using Header = TarBuilder::Header;

/// A directory to extract into, and beside it a canary that nothing may touch: where "..", absolute
/// and other clever names would lead to.
struct ApplySandbox : RootSandbox {
  ApplySandbox() {
    make_dirs(fd(), "canary/dir");
    put_file(fd(), "canary/file", "alive");
    put_file(fd(), "canary/dir/file", "alive too");
    put_file(fd(), "file", "alive beside");
    start_over();
  }

  ~ApplySandbox() { check_canary(); }

  void start_over() {
    root.reset();
    sys::remove_tree(fd(), "root");
    make_dirs(fd(), "root");
    root = sys::openat(fd(), "root", O_RDONLY | O_DIRECTORY);
  }

  void check_canary() const {
    const UniqueFd canary = sys::open_path_dir(fd(), "canary");
    CHECK(tree_text(canary.get()) ==
          ".: directory 0755 0:0\n"
          "dir/file: file 0644 0:0 'alive too'\n"
          "dir: directory 0755 0:0\n"
          "file: file 0644 0:0 'alive'\n");
    CHECK(content_of(fd(), "file") == "alive beside");
    CHECK(sys::list_directory(fd()).size() == 3);  // canary, file, root
  }

  UniqueFd digests_file() const { return sys::openat(fd(), ".", O_RDWR | O_TMPFILE, 0600); }

  int64_t apply(const std::string& tar, const IdMaps& maps = {}) {
    StringSource source(tar);
    UniqueFd digests = digests_file();
    const UniqueFd record = sys::openat(AT_FDCWD, sys::fd_path(digests.get()), O_RDONLY);
    const int64_t size =
        apply_layer_tar(root.get(), maps, source, {.digests = std::move(digests)}).size;
    // Whatever the case is about: what was recorded is what is there.
    for (const auto& [path, what] : compare_content(root.get(), record.get()).differences) {
      FAIL_CHECK("recorded as something else: " << path << " " << what);
    }
    return size;
  }

  std::string refusal(const std::string& tar) {
    const std::string error = error_of([&] { apply(tar); });
    check_canary();
    return error;
  }

  std::string tree() const { return tree_text(root.get()); }
  std::string line(const std::string& path) const {
    for (const std::string& text : tree_dump(root.get())) {
      if (text.starts_with(path + ": ")) return text.substr(path.size() + 2);
    }
    return "absent";
  }
  timespec mtime(const std::string& path) const { return sys::fstatat(root.get(), path).st_mtim; }
  bool is_whiteout(const std::string& path) const {
    const auto info = sys::try_fstatat(root.get(), path);
    return info && whiteout::is_whiteout(*info);
  }
  bool is_opaque(const std::string& path) const { return whiteout::is_opaque({root.get(), path}); }

  UniqueFd root;
};

Header directory(const std::string& name, uint64_t mode = 0755, uint64_t mtime = 0) {
  return {.name = name, .type = '5', .mode = mode, .mtime = mtime};
}
Header symlink_to(const std::string& name, const std::string& target) {
  return {.name = name, .type = '2', .link_name = target};
}
Header hard_link_to(const std::string& name, const std::string& target) {
  return {.name = name, .type = '1', .link_name = target};
}
Header device(const std::string& name, char type, uint64_t major, uint64_t minor) {
  return {.name = name, .type = type, .mode = 0600, .dev_major = major, .dev_minor = minor};
}

TEST_SUITE("layer_apply") {
  TEST_CASE_FIXTURE(ApplySandbox, "every kind of member becomes what it says") {
    TarBuilder tar;
    tar.header(directory("d/", 01777))
        .member({.name = "d/f", .mode = 0640, .uid = 7, .gid = 8}, "content")
        .header(hard_link_to("d/h", "d/f"))
        .header({.name = "d/s", .type = '2', .uid = 9, .gid = 9, .link_name = "../nowhere"})
        .header({.name = "p", .type = '6', .mode = 0622})
        .header(device("c", '3', 1, 3))
        .header(device("b", '4', 7, 1))
        .end();
    CHECK(apply(tar.str()) == 7 + 10);
    CHECK(tree() ==
          ".: directory 0755 0:0\n"
          "b: block device 0600 0:0 7,1\n"
          "c: character device 0600 0:0 1,3\n"
          "d/f: file 0640 7:8 'content'\n"
          "d/h: same as d/f\n"
          "d/s: symlink 0777 9:9 -> '../nowhere'\n"
          "d: directory 1777 0:0\n"
          "p: fifo 0622 0:0\n");
  }

  TEST_CASE_FIXTURE(ApplySandbox, "an empty stream and bare zero blocks are an empty layer") {
    for (const size_t blocks : {0U, 1U, 2U, 20U}) {
      CAPTURE(blocks);
      CHECK(apply(TarBuilder().zero_blocks(blocks).str()) == 0);
      CHECK(tree() == ".: directory 0755 0:0\n");
    }
  }

  TEST_CASE_FIXTURE(ApplySandbox,
                    "the source is read to its end, padding behind the tar included") {
    const std::string text = TarBuilder().file("f", "x").end().zero_blocks(40).str();
    StringSource kept(text);
    apply_layer_tar(root.get(), {}, kept);
    CHECK(drain(kept) == 0);
  }

  TEST_CASE_FIXTURE(ApplySandbox, "names that climb out are refused and touch nothing") {
    const char* names[] = {"../file",  "../canary/file", "..",        "a/../../file",
                           "/../file", "./../file",      "../root/x", "a/b/../../../canary/new",
                           "../new"};
    for (const char* name : names) {
      CAPTURE(name);
      start_over();
      const std::string error = refusal(TarBuilder().file(name, "dead").end().str());
      CHECK(error.starts_with("bad-archive entry "));
      CHECK(error.find("at offset 0") != std::string::npos);
      CHECK(error.find("leads out of the layer") != std::string::npos);
    }
  }

  TEST_CASE_FIXTURE(ApplySandbox, "absolute names and detours land inside") {
    const std::string victim = path() + "/canary/file";
    apply(TarBuilder()
              .file("/etc/passwd", "inside")
              .file(victim, "inside too")
              .file("./x//y/./z/../f", "cleaned")
              .end()
              .str());
    CHECK(content_of(root.get(), "etc/passwd") == "inside");
    CHECK(content_of(root.get(), victim.substr(1)) == "inside too");
    CHECK(content_of(root.get(), "x/y/f") == "cleaned");
    check_canary();
  }

  TEST_CASE_FIXTURE(ApplySandbox, "a symlink on the way leads to a place inside the layer") {
    const std::string outside = path() + "/canary";
    const std::string targets[] = {outside, "../canary", "../../../../../../" + outside,
                                   "/proc/self/cwd", "/"};
    for (const std::string& target : targets) {
      CAPTURE(target);
      start_over();
      TarBuilder tar;
      tar.header(symlink_to("way", target)).file("way/file", "dead").end();
      error_of([&] { apply(tar.str()); });  // refused where the target is not there
      check_canary();
      CHECK(sys::readlinkat(root.get(), "way") == target);
    }
  }

  TEST_CASE_FIXTURE(ApplySandbox, "symlinks to directories of the layer are written through") {
    apply(TarBuilder()
              .header(directory("usr/lib/"))
              .header(symlink_to("lib", "usr/lib"))
              .header(symlink_to("abs", "/usr/lib"))
              .header(symlink_to("up", "../../../usr"))
              .file("lib/a", "1")
              .file("abs/b", "2")
              .file("up/lib/c", "3")
              .end()
              .str());
    for (const char* name : {"usr/lib/a", "usr/lib/b", "usr/lib/c"}) {
      CHECK(line(name).starts_with("file 0644 0:0"));
    }
    CHECK(line("lib").starts_with("symlink"));
  }

  TEST_CASE_FIXTURE(ApplySandbox,
                    "a parent that is a dangling or circular symlink or a file is refused") {
    const Header first[] = {symlink_to("p", "nowhere"), symlink_to("p", "p"), {.name = "p"}};
    for (const Header& header : first) {
      CAPTURE(header.link_name);
      start_over();
      const std::string error = refusal(TarBuilder().header(header).file("p/f", "x").end().str());
      CHECK(error.starts_with("bad-archive entry 'p/f' at offset 512: "));
    }
  }

  TEST_CASE_FIXTURE(ApplySandbox, "a file replaces a symlink instead of writing through it") {
    for (const std::string& target : {path() + "/canary/file", std::string("../canary/file")}) {
      start_over();
      apply(TarBuilder().header(symlink_to("x", target)).file("x", "mine").end().str());
      CHECK(line("x") == "file 0644 0:0 'mine'");
      check_canary();
    }
  }

  TEST_CASE_FIXTURE(ApplySandbox, "metadata of a symlink never reaches its target") {
    Header link = symlink_to("x", path() + "/canary/file");
    link.mode = 04777;
    link.uid = 5;
    link.mtime = 12345;
    apply(TarBuilder()
              .header(link)
              .header(directory("y/", 0700))
              .header(symlink_to("y", path() + "/canary/dir"))
              .end()
              .str());
    CHECK(line("x").starts_with("symlink 0777 5:0"));
    CHECK(sys::fstatat(fd(), "canary/file").st_mtim.tv_sec != 12345);
    check_canary();
  }

  TEST_CASE_FIXTURE(ApplySandbox, "a directory member on a symlink replaces the symlink") {
    apply(TarBuilder()
              .header(symlink_to("x", "../canary/dir"))
              .header(directory("x/", 0700))
              .file("x/new", "in")
              .end()
              .str());
    CHECK(line("x") == "directory 0700 0:0");
    CHECK(line("x/new").starts_with("file"));
    check_canary();
  }

  TEST_CASE_FIXTURE(ApplySandbox, "hard links lead only to members of the same layer") {
    const std::string outside = path() + "/canary/file";
    const std::string targets[] = {"../canary/file", "../file",  outside,     "/etc/passwd",
                                   "absent",         "d/absent", "d/../../x", "way/file"};
    for (const std::string& target : targets) {
      CAPTURE(target);
      start_over();
      TarBuilder tar;
      tar.header(directory("d/")).header(symlink_to("way", "../canary"));
      const std::string error = refusal(tar.header(hard_link_to("h", target)).end().str());
      CHECK(error.starts_with("bad-archive entry 'h' at offset 1024: "));
      CHECK(line("h") == "absent");
    }
    CHECK(sys::fstatat(fd(), "canary/file").st_nlink == 1);
  }

  TEST_CASE_FIXTURE(ApplySandbox, "a hard link to a symlink links the symlink") {
    apply(TarBuilder()
              .header(symlink_to("s", path() + "/canary/file"))
              .header(hard_link_to("h", "s"))
              .end()
              .str());
    CHECK(line("s") == "same as h");
    CHECK(sys::fstatat(fd(), "canary/file").st_nlink == 1);
  }

  TEST_CASE_FIXTURE(ApplySandbox,
                    "hard links to directories, to the root and to whiteouts are refused") {
    const std::string directories =
        refusal(TarBuilder().header(directory("d/")).header(hard_link_to("h", "d")).end().str());
    CHECK(directories.find("hard link to the directory 'd'") != std::string::npos);
    for (const char* target : {".", "/", "./", "a/.."}) {
      CAPTURE(target);
      start_over();
      CHECK(refusal(TarBuilder().header(hard_link_to("h", target)).end().str())
                .starts_with("bad-archive"));
    }
    start_over();
    CHECK(refusal(TarBuilder().file(".wh.w").header(hard_link_to("h", "w")).end().str())
              .find("not in this layer") != std::string::npos);
  }

  TEST_CASE_FIXTURE(ApplySandbox, "a hard link to itself keeps the file") {
    CHECK(apply(TarBuilder().file("f", "12345").header(hard_link_to("./f", "f")).end().str()) == 5);
    CHECK(content_of(root.get(), "f") == "12345");
  }

  TEST_CASE_FIXTURE(ApplySandbox, "a device 0:0 is refused, a block device 0:0 is not a whiteout") {
    CHECK(refusal(TarBuilder().header(device("w", '3', 0, 0)).end().str())
              .find("would be taken for a whiteout") != std::string::npos);
    start_over();
    apply(TarBuilder().header(device("w", '4', 0, 0)).end().str());
    CHECK(line("w") == "block device 0600 0:0 0,0");
  }

  TEST_CASE_FIXTURE(ApplySandbox, "whiteouts of nothing, of dot and of dot-dot are refused") {
    for (const char* name : {".wh.", ".wh..", ".wh...", "d/.wh...", "d/.wh."}) {
      CAPTURE(name);
      start_over();
      CHECK(refusal(TarBuilder().file(name).end().str()).find("a whiteout without a name") !=
            std::string::npos);
    }
  }

  TEST_CASE_FIXTURE(ApplySandbox, "a whiteout becomes overlay's, with the tar's time and owner") {
    Header set_gid = directory("d/", 02775);
    set_gid.gid = 50;
    const Header marker{.name = "d/.wh.gone", .mtime = 1000};
    apply(TarBuilder().header(set_gid).header(marker).end().str());
    CHECK(is_whiteout("d/gone"));
    CHECK(line("d/gone") == "character device 0000 0:0 0,0");
    CHECK(mtime("d/gone").tv_sec == 1000);
    CHECK(line("d/.wh.gone") == "absent");
  }

  TEST_CASE_FIXTURE(ApplySandbox,
                    "a whiteout never deletes what its own layer has, wherever it stands") {
    for (const bool whiteout_first : {true, false}) {
      CAPTURE(whiteout_first);
      start_over();
      TarBuilder tar;
      const auto markers = [&] { tar.file(".wh.f").file(".wh.d").file(".wh.s"); };
      if (whiteout_first) markers();
      tar.file("f", "new").header(directory("d/", 0700)).file("d/in", "new");
      tar.header(symlink_to("s", "../canary/file"));
      if (!whiteout_first) markers();
      apply(tar.end().str());
      CHECK(line("f") == "file 0644 0:0 'new'");
      CHECK(line("d").starts_with("directory 0700 0:0"));
      CHECK(line("d/in") == "file 0644 0:0 'new'");
      CHECK(line("s").starts_with("symlink"));
      CHECK(is_opaque("d"));
    }
  }

  TEST_CASE_FIXTURE(ApplySandbox, "an opaque marker counts wherever it stands") {
    for (const bool marker_first : {true, false}) {
      for (const bool implied : {true, false}) {
        CAPTURE(marker_first);
        CAPTURE(implied);
        start_over();
        TarBuilder tar;
        if (marker_first) tar.file("d/.wh..wh..opq");
        if (!implied) tar.header(directory("d/", 0711));
        tar.file("d/f", "x");
        if (!marker_first) tar.file("d/.wh..wh..opq");
        apply(tar.end().str());
        CHECK(is_opaque("d"));
        CHECK(line("d/f") == "file 0644 0:0 'x'");
        CHECK(line("d/.wh..wh..opq") == "absent");
      }
    }
  }

  TEST_CASE_FIXTURE(ApplySandbox, "an opaque directory holds no whiteouts") {
    // Overlayfs would list them, because it does not merge such a directory.
    apply(TarBuilder()
              .file("a/.wh..wh..opq")
              .file("a/.wh.x")
              .file("b/.wh.x")
              .file("b/kept", "1")
              .file("b/.wh..wh..opq")
              .end()
              .str());
    CHECK(is_opaque("a"));
    CHECK(is_opaque("b"));
    CHECK(line("a/x") == "absent");
    CHECK(line("b/x") == "absent");
    CHECK(line("b/kept") != "absent");
  }

  TEST_CASE_FIXTURE(ApplySandbox, "there are no whiteouts at any depth below an opaque directory") {
    // What is made opaque by a marker, and what by a deletion of what the tar itself has.
    for (const char* marker : {"a/.wh..wh..opq", ".wh.a"}) {
      CAPTURE(marker);
      start_over();
      apply(TarBuilder()
                .header(directory("a/", 0755, 10))
                .header(directory("a/b/", 0755, 20))
                .file("a/b/.wh.before")
                .file("a/b/c/.wh.before")
                .file("a/b/c/kept", "1")
                .file("beside/.wh.kept")
                .file(marker)
                .file("a/b/c/.wh.after")
                .file("a/b/.wh.after")
                .file("a/.wh.after")
                .end()
                .str());
      CHECK(tree() ==
            ".: directory 0755 0:0\n"
            "a/b/c/kept: file 0644 0:0 '1'\n"
            "a/b/c: directory 0755 0:0\n"
            "a/b: directory 0755 0:0\n"
            "a: directory 0755 0:0 trusted.overlay.opaque='y'\n"
            "beside/kept: character device 0000 0:0 0,0\n"
            "beside: directory 0755 0:0\n");
      CHECK(mtime("a").tv_sec == 10);
      CHECK(mtime("a/b").tv_sec == 20);
    }
  }

  TEST_CASE_FIXTURE(ApplySandbox, "a deleted directory of the tar itself loses its whiteouts") {
    apply(TarBuilder().file("d/.wh.x").file("d/f", "1").file(".wh.d").end().str());
    CHECK(is_opaque("d"));
    CHECK(line("d/x") == "absent");
    CHECK(line("d/f") != "absent");
  }

  TEST_CASE_FIXTURE(ApplySandbox, "a directory is no whiteout, so it can have no members") {
    for (const char* name : {".wh.d/a", ".wh.d/b/c", "x/.wh.d/a"}) {
      CAPTURE(name);
      CHECK(refusal(TarBuilder().file(name).end().str()) ==
            "bad-archive entry " + quoted(name) + " at offset 0: a whiteout is no directory");
      CHECK(sys::list_directory(root.get()).empty());
    }
  }

  TEST_CASE_FIXTURE(ApplySandbox, "an opaque marker for the root means nothing, as to overlayfs") {
    apply(TarBuilder().file(".wh.a").file(".wh..wh..opq").file(".wh.b").file("f", "x").end().str());
    CHECK(tree() ==
          ".: directory 0755 0:0\n"
          "a: character device 0000 0:0 0,0\n"
          "b: character device 0000 0:0 0,0\n"
          "f: file 0644 0:0 'x'\n");
  }

  TEST_CASE_FIXTURE(ApplySandbox, "aufs's leftovers are dropped") {
    apply(TarBuilder()
              .file(".wh..wh.aufs")
              .header(directory(".wh..wh.orph/", 0700))
              .header(directory(".wh..wh.plnk/", 0700))
              .file(".wh..wh.plnk/1.2", "linked")
              .file(".wh..wh.plnk/deep/er", "x")
              .file("kept", "x")
              .end()
              .str());
    CHECK(tree() == ".: directory 0755 0:0\nkept: file 0644 0:0 'x'\n");
  }

  TEST_CASE_FIXTURE(ApplySandbox, "xattrs of overlayfs are refused") {
    for (const char* name :
         {"trusted.overlay.opaque", "trusted.overlay.redirect", "trusted.overlay.metacopy",
          "user.overlay.opaque", "trusted.overlay.whatever"}) {
      CAPTURE(name);
      start_over();
      TarBuilder tar;
      tar.pax({{std::string("SCHILY.xattr.") + name, "y"}}).header(directory("d/")).end();
      CHECK(refusal(tar.str()).find("is overlayfs's own") != std::string::npos);
    }
  }

  TEST_CASE_FIXTURE(ApplySandbox, "other xattrs are set as they are") {
    TarBuilder tar;
    const std::string binary("a\0b", 3);
    tar.pax({{"SCHILY.xattr.user.x", "1"}, {"SCHILY.xattr.trusted.x", binary}}).file("f").end();
    apply(tar.str());
    CHECK(xattr::get({root.get(), "f"}, "user.x") == "1");
    CHECK(xattr::get({root.get(), "f"}, "trusted.x") == binary);
  }

  TEST_CASE_FIXTURE(ApplySandbox, "set-id bits and capabilities survive the change of owner") {
    std::string value(XATTR_CAPS_SZ_2, '\0');
    value[0] = 1;
    value[3] = 2;
    value[5] = 0x20;
    apply(TarBuilder()
              .pax({{"SCHILY.xattr.security.capability", value}})
              .member({.name = "f", .mode = 06755, .uid = 1000, .gid = 1000}, "x")
              .end()
              .str());
    CHECK(sys::fstatat(root.get(), "f").st_mode == (S_IFREG | 06755U));
    CHECK(sys::fstatat(root.get(), "f").st_uid == 1000);
    CHECK(xattr::get({root.get(), "f"}, "security.capability") == value);
  }

  TEST_CASE_FIXTURE(ApplySandbox, "a capability that the kernel does not know is the tar's fault") {
    TarBuilder tar;
    tar.pax({{"SCHILY.xattr.security.capability", "nonsense"}}).file("f").end();
    CHECK(refusal(tar.str()).starts_with("bad-archive entry 'f'"));
  }

  TEST_CASE_FIXTURE(ApplySandbox, "a capability of no bytes, which Linux cannot read, is refused") {
    TarBuilder tar;
    tar.pax({{"SCHILY.xattr.security.capability", ""}}).file("f").end();
    CHECK(refusal(tar.str()).find("file capabilities without a value") != std::string::npos);
  }

  TEST_CASE_FIXTURE(ApplySandbox, "a default ACL on what is no directory is the tar's fault") {
    TarBuilder tar;
    // u::rwx g::r-x o::---
    const std::string value(
        "\2\0\0\0\1\0\7\0\xff\xff\xff\xff\4\0\5\0\xff\xff\xff\xff\40\0\0\0\xff\xff\xff\xff", 28);
    tar.pax({{std::string("SCHILY.xattr.") + acl::kDefaultXattr, value}}).file("f").end();
    CHECK(refusal(tar.str()) ==
          "bad-archive entry 'f' at offset 0: a default ACL on what is no directory");
  }

  TEST_CASE_FIXTURE(ApplySandbox, "a hard link into the directory that it replaces is refused") {
    TarBuilder tar;
    tar.file("d/f", "x").header(hard_link_to("d", "d/f")).end();
    CHECK(refusal(tar.str()).find("something in the directory that it replaces") !=
          std::string::npos);
  }

  TEST_CASE_FIXTURE(ApplySandbox, "trailing slashes do not make a file a directory") {
    apply(TarBuilder()
              .header({.name = "d//", .type = '5', .mode = 0700})
              .header(symlink_to("s/", "x"))
              .end()
              .str());
    CHECK(line("d") == "directory 0700 0:0");
    CHECK(line("s").starts_with("symlink"));
  }

  TEST_CASE_FIXTURE(ApplySandbox,
                    "of two members with one name the last wins, whatever the kinds") {
    const auto put = [](TarBuilder& tar, int kind) {
      switch (kind) {
        case 0: tar.file("x", "file"); break;
        case 1: tar.header(directory("x/", 0700)).file("x/in", "12"); break;
        case 2: tar.header(symlink_to("x", "target")); break;
        case 3: tar.header({.name = "x", .type = '6'}); break;
        case 4: tar.file("other", "linked").header(hard_link_to("x", "other")); break;
        default: tar.header(device("x", '3', 1, 3));
      }
    };
    for (int first = 0; first < 6; ++first) {
      for (int second = 0; second < 6; ++second) {
        CAPTURE(first);
        CAPTURE(second);
        start_over();
        TarBuilder alone;
        put(alone, second);
        apply(alone.end().str());
        std::string wanted = line("x");
        start_over();
        TarBuilder both;
        put(both, first);
        put(both, second);
        const int64_t size = apply(both.end().str());
        if (second == 4) {
          CHECK(sys::fstatat(root.get(), "x").st_ino == sys::fstatat(root.get(), "other").st_ino);
        } else {
          CHECK(line("x") == wanted);
        }
        std::vector<UniqueFd> stack;
        stack.push_back(sys::openat(root.get(), ".", O_RDONLY | O_DIRECTORY));
        CHECK(size == measure({.upper = MergedDir(std::move(stack)), .parent = std::nullopt}));
      }
    }
  }

  TEST_CASE_FIXTURE(ApplySandbox, "a file over one name of a hard link leaves the other alone") {
    CHECK(apply(TarBuilder()
                    .file("a", "old")
                    .header(hard_link_to("b", "a"))
                    .file("a", "longer")
                    .end()
                    .str()) == 9);
    CHECK(content_of(root.get(), "a") == "longer");
    CHECK(content_of(root.get(), "b") == "old");
  }

  // A second thread helps to count so many, as confined as the one that starts it.
  TEST_CASE_FIXTURE(ApplySandbox, "what was replaced among many directories does not count") {
    constexpr int kMany = 500;
    TarBuilder tar;
    tar.file("twice", std::string(1000, 'x'));
    for (int i = 0; i < kMany; ++i) tar.file("d" + std::to_string(i) + "/e/f", "12345");
    const std::string all = tar.file("twice", "1").end().str();
    StringSource source(all);
    UniqueFd digests = digests_file();
    int64_t size = 0;
    run_confined(root.get(), root.get(), [&] {
      size = apply_layer_tar(root.get(), {}, source, {.digests = std::move(digests)}).size;
    });
    CHECK(size == kMany * 5 + 1);
  }

  TEST_CASE_FIXTURE(ApplySandbox, "a member for the root sets the root's attributes") {
    for (const char* name : {"./", "/", "a/.."}) {
      CAPTURE(name);
      start_over();
      apply(TarBuilder()
                .header({.name = name, .type = '5', .mode = 0711, .uid = 3, .mtime = 77})
                .file("f", "x")
                .end()
                .str());
      CHECK(line(".") == "directory 0711 3:0");
      CHECK(mtime(".").tv_sec == 77);
    }
    start_over();
    CHECK(refusal(TarBuilder().header(symlink_to("./", "x")).end().str())
              .find("the root of the layer is not a directory") != std::string::npos);
  }

  TEST_CASE_FIXTURE(ApplySandbox, "times are kept to the nanosecond and before 1970") {
    apply(TarBuilder()
              .pax({{"mtime", "1234.000000056"}})
              .file("ns")
              .pax({{"mtime", "-5"}})
              .file("before")
              .pax({{"mtime", "-1.25"}})
              .header(symlink_to("s", "x"))
              .end()
              .str());
    CHECK(mtime("ns").tv_sec == 1234);
    CHECK(mtime("ns").tv_nsec == 56);
    CHECK(mtime("before").tv_sec == -5);
    CHECK(mtime("s").tv_sec == -2);
    CHECK(mtime("s").tv_nsec == 750000000);
  }

  TEST_CASE_FIXTURE(ApplySandbox, "a directory keeps its time whatever comes into it later") {
    apply(TarBuilder()
              .header(directory("./", 0755, 5))
              .header(directory("a/", 0755, 10))
              .header(directory("a/b/", 0755, 20))
              .file("a/b/f", "1")
              .file("a/b/g", "2")
              .file("a/h", "3")
              .header(hard_link_to("a/b/i", "a/h"))
              .file("a/.wh.w")
              .file("a/b/c/d/deep", "implied parents")
              .file("a/b/f", "replaced")
              .header(symlink_to("alias", "a/b"))
              .file("alias/z", "4")
              .file("top", "5")
              .end()
              .str());
    CHECK(mtime("a").tv_sec == 10);
    CHECK(mtime("a/b").tv_sec == 20);
    CHECK(mtime(".").tv_sec == 5);
  }

  TEST_CASE_FIXTURE(ApplySandbox, "directories keep their times when the tar goes to and fro") {
    constexpr size_t kCount = 40;
    const auto wide = [](size_t i) { return "wide-" + std::to_string(i); };
    TarBuilder tar;
    tar.header(directory("./", 0755, 5));
    for (size_t i = 0; i < kCount; ++i) tar.header(directory(wide(i) + "/", 0755, 100 + i));
    std::string deep = "deep";
    std::vector<std::string> nested;
    for (size_t i = 0; i < kCount; ++i, deep += "/d") {
      tar.header(directory(deep + "/", 0755, 1000 + i)).file(deep + "/f");
      nested.push_back(deep);
    }
    for (const char* name : {"/one", "/two"}) {
      for (size_t i = 0; i < kCount; ++i) tar.file(wide(i) + name).file(nested[i] + name);
    }
    // Open and changed once more; and by another name.
    tar.header(directory(wide(39) + "/", 0700, 7)).file(wide(39) + "/three");
    tar.header(symlink_to("alias", wide(38))).file("alias/three").file(wide(38) + "/four");
    apply(tar.end().str());
    CHECK(mtime(".").tv_sec == 5);
    for (size_t i = 0; i < kCount; ++i) {
      CAPTURE(i);
      CHECK(mtime(wide(i)).tv_sec == (i == 39 ? 7 : static_cast<time_t>(100 + i)));
      CHECK(mtime(nested[i]).tv_sec == static_cast<time_t>(1000 + i));
    }
    CHECK(line(wide(39)) == "directory 0700 0:0");
    CHECK(content_of(root.get(), wide(38) + "/three").empty());
  }

  TEST_CASE_FIXTURE(ApplySandbox,
                    "a directory takes files first, then anything, then files again") {
    const Header others[] = {directory("a/d/other/"),
                             symlink_to("a/d/other", "/canary"),
                             hard_link_to("a/d/other", "a/d/f"),
                             {.name = "a/d/other", .type = '6'},
                             {.name = "a/d/.wh.other"},
                             {.name = "a/d/.wh..wh..opq"},
                             {.name = "a/.wh.beside"},
                             {.name = "beside"},
                             directory("a/beside/")};
    for (const Header& other : others) {
      CAPTURE(other.name);
      CAPTURE(other.type);
      start_over();
      apply(TarBuilder()
                .header(directory("a/", 0755, 10))
                .header(directory("a/d/", 0711, 20))
                .file("a/d/f", "1")
                .file("a/d/g", "2")
                .file("a/d/f", "3")
                .header(other)
                .file("a/d/g", "4")
                .file("a/d/h", "5")
                .end()
                .str());
      CHECK(line("a/d").starts_with("directory 0711 0:0"));
      CHECK(line("a/d/f") == "file 0644 0:0 '3'");
      CHECK(line("a/d/g") == "file 0644 0:0 '4'");
      CHECK(line("a/d/h") == "file 0644 0:0 '5'");
      CHECK(mtime("a").tv_sec == 10);
      CHECK(mtime("a/d").tv_sec == 20);
    }
  }

  TEST_CASE_FIXTURE(ApplySandbox, "a file in a directory that was just made is below that one") {
    apply(TarBuilder()
              .header(directory("a/"))
              .header(directory("a/a/"))
              .file("a/a/f", "inner")
              .file("a/f", "outer")
              .header(symlink_to("s", "a"))
              .header(directory("s/"))  // no longer a symlink
              .file("s/f", "own")
              .end()
              .str());
    CHECK(line("a/a/f") == "file 0644 0:0 'inner'");
    CHECK(line("a/f") == "file 0644 0:0 'outer'");
    CHECK(line("s/f") == "file 0644 0:0 'own'");
  }

  TEST_CASE_FIXTURE(ApplySandbox, "a directory replaced while open is another one") {
    apply(TarBuilder()
              .header(directory("d/", 0755, 10))
              .header(directory("d/e/", 0755, 20))
              .file("d/e/old", "1")
              .file("d", "no directory")
              .header(directory("d/", 0755, 30))
              .header(directory("d/e/", 0755, 40))
              .file("d/e/new", "2")
              .end()
              .str());
    CHECK(line("d/e/old") == "absent");
    CHECK(line("d/e/new") == "file 0644 0:0 '2'");
    CHECK(mtime("d").tv_sec == 30);
    CHECK(mtime("d/e").tv_sec == 40);
  }

  TEST_CASE_FIXTURE(ApplySandbox, "what a directory passes on is what its last member says") {
    const Header shared{.name = "d/", .type = '5', .mode = 02755, .gid = 7};
    apply(TarBuilder()
              .header(shared)
              .file("d/root's", "1")
              .member({.name = "d/shared", .mode = 0640, .gid = 7}, "2")
              .header(directory("d/plain/"))
              .file("d/plain/f", "3")
              .header(directory("d/"))
              .file("d/later", "4")
              .header(shared)
              .header(directory("d/last/"))
              .end()
              .str());
    CHECK(line("d") == "directory 2755 0:7");
    CHECK(line("d/root's") == "file 0644 0:0 '1'");
    CHECK(line("d/shared") == "file 0640 0:7 '2'");
    CHECK(line("d/plain") == "directory 0755 0:0");
    CHECK(line("d/plain/f") == "file 0644 0:0 '3'");
    CHECK(line("d/later") == "file 0644 0:0 '4'");
    CHECK(line("d/last") == "directory 0755 0:0");
  }

  /// Notes the most descriptors that are open when it is read from.
  struct CountingSource final : ByteSource {
    explicit CountingSource(const std::string& text) : rest(text) {}
    size_t read(std::span<std::byte> buffer) override {
      const UniqueFd open = sys::openat(AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY);
      most = std::max(most, sys::list_directory(open.get()).size());
      return rest.read(buffer.first(std::min<size_t>(buffer.size(), 4096)));
    }
    StringSource rest;
    size_t most = 0;
  };

  TEST_CASE_FIXTURE(ApplySandbox, "however many directories a tar has, few are open") {
    TarBuilder tar;
    for (int i = 0; i < 5000; ++i) {
      const std::string name = "d" + std::to_string(i % 40) + "/e" + std::to_string(i);
      tar.header(directory(name + "/")).file(name + "/f");
    }
    const std::string text = tar.end().str();
    CountingSource none("");
    apply_layer_tar(root.get(), {}, none);
    CountingSource source(text);
    apply_layer_tar(root.get(), {}, source);
    // Three batches of 64 files, 32 that are done with, and the 16 directories used last.
    CHECK(source.most <= none.most + 3 * 64 + 32 + 16);
  }

  TEST_CASE_FIXTURE(ApplySandbox, "parents without a member are container root's and 0755") {
    IdMaps maps;
    maps.uids = IdMap({{0, 100000, 1000}});
    maps.gids = IdMap({{0, 200000, 1000}});
    apply(TarBuilder().file("a/b/f", "x").end().str(), maps);
    CHECK(line("a") == "directory 0755 100000:200000");
    CHECK(line("a/b") == "directory 0755 100000:200000");
    CHECK(line("a/b/f") == "file 0644 100000:200000 'x'");
  }

  TEST_CASE_FIXTURE(ApplySandbox, "an owner outside the id maps is an error that names it") {
    IdMaps maps;
    maps.uids = IdMap({{0, 100000, 1000}});
    maps.gids = IdMap({{0, 100000, 1000}});
    const std::string uid =
        error_of([&] { apply(TarBuilder().header({.name = "f", .uid = 1000}).end().str(), maps); });
    CHECK(uid.starts_with("invalid-argument entry 'f' at offset 0: uid 1000 is outside"));
    start_over();
    const std::string gid =
        error_of([&] { apply(TarBuilder().header({.name = "f", .gid = 1000}).end().str(), maps); });
    CHECK(gid.find("gid 1000 is outside") != std::string::npos);
    start_over();
    TarBuilder huge;
    huge.pax({{"uid", "4294967295"}}).file("f").end();
    CHECK(refusal(huge.str()).starts_with("invalid-argument"));
  }

  TEST_CASE_FIXTURE(ApplySandbox, "sparse files get their size, holes and all") {
    const std::vector<TarBuilder::Run> runs = {{4096, "middle"}, {65536, "tail"}};
    apply(TarBuilder()
              .sparse_gnu({.name = "gnu"}, 1 << 20, runs)
              .sparse_0_1({.name = "pax"}, 1 << 20, runs)
              .sparse_1_0({.name = "one"}, 1 << 20, runs)
              .end()
              .str());
    for (const char* name : {"gnu", "pax", "one"}) {
      CAPTURE(name);
      const UniqueFd file = sys::openat(root.get(), name, O_RDONLY);
      CHECK(sys::fstat(file.get()).st_size == 1 << 20);
      std::string text(6, '\0');
      CHECK(::pread(file.get(), text.data(), 6, 4096) == 6);
      CHECK(text == "middle");
      CHECK(::pread(file.get(), text.data(), 4, 65536) == 4);
      CHECK(text == "taille");
      CHECK(sys::fstat(file.get()).st_blocks * 512 < 1 << 20);
    }
  }

  TEST_CASE_FIXTURE(ApplySandbox, "names too long for Linux are the tar's fault") {
    const std::string error =
        refusal(TarBuilder().long_name(std::string(256, 'n')).file("n").end().str());
    CHECK(error.starts_with("bad-archive"));
  }

  TEST_CASE_FIXTURE(ApplySandbox, "what symlinks put deeper than a tar can name is refused") {
    const std::string long_way = [] {  // 4080 bytes with the slash behind it
      std::string path = std::string(254, 'd');
      for (int n = 1; n < 16; ++n) path += "/" + std::string(254, 'd');
      return path;
    }();
    const std::string message =
        "its path with symlinks resolved is longer than 4096 bytes, more than a layer tar can "
        "name";
    struct Row {
      std::string fits, too_long;
      char type;
    };
    // As a tar has them: a directory with its slash, a whiteout and an opaque marker in full.
    const Row rows[] = {
        {std::string(16, 'f'), std::string(17, 'f'), '0'},
        {std::string(16, 's'), std::string(17, 's'), '2'},
        {std::string(15, 'd'), std::string(16, 'd'), '5'},
        {std::string(14, 'i') + "/f", std::string(15, 'i') + "/f", '0'},
        {".wh." + std::string(12, 'w'), ".wh." + std::string(13, 'w'), '0'},
        {"ooo/.wh..wh..opq", "oooo/.wh..wh..opq", '0'},
        {"ii/" + std::string(12, 'd'), "ii/" + std::string(13, 'd'), '5'},
    };
    for (const Row& row : rows) {
      for (const bool fits : {true, false}) {
        const std::string name = "s/" + (fits ? row.fits : row.too_long);
        CAPTURE(name);
        start_over();
        TarBuilder tar;
        tar.pax({{"path", long_way}}).header({.type = '5'});
        tar.pax({{"linkpath", long_way}}).header({.name = "s", .type = '2', .link_name = "x"});
        const auto offset = tar.str().size();
        tar.header({.name = name, .type = row.type, .link_name = row.type == '2' ? "t" : ""});
        const std::string error = refusal(tar.end().str());
        CHECK(error == (fits ? ""
                             : "bad-archive entry " + quoted(name) + " at offset " +
                                   std::to_string(offset) + ": " + message));
      }
    }
  }

  TEST_CASE_FIXTURE(ApplySandbox, "a full disk is no fault of the tar") {
    make_dirs(root.get(), "small");
    mount_classic("small", path() + "/root/small", "tmpfs", 0, "size=64k");
    const UniqueFd small = sys::openat(root.get(), "small", O_RDONLY | O_DIRECTORY);
    TarBuilder tar;
    tar.file("big", std::string(1 << 20, 'x')).end();
    StringSource source(tar.str());
    CHECK(error_of([&] {
            apply_layer_tar(small.get(), {}, source);
          }).starts_with("no-space entry 'big' at offset 0: "));
    CHECK(unmount_lazily(root.get(), "small"));
  }

  TEST_CASE_FIXTURE(ApplySandbox, "of two errors the one that is earlier in the tar counts") {
    for (const int between : {0, 1, 500}) {
      CAPTURE(between);
      start_over();
      TarBuilder tar;
      // Seen when the file is filled, which is later than when the next one is made.
      tar.pax({{"SCHILY.xattr.nonsense.x", "1"}}).file("first", "x");
      for (int i = 0; i < between; ++i) tar.file("f" + std::to_string(i), "x");
      tar.file("d/../../second", "x").end();
      const std::string error = error_of([&] { apply(tar.str()); });
      CHECK(error.find("entry 'first'") != std::string::npos);
    }
  }

  TEST_CASE_FIXTURE(ApplySandbox, "what the source throws comes through") {
    struct Broken final : ByteSource {
      size_t read(std::span<std::byte>) override { throw Error(ErrorKind::Aborted, "hung up"); }
    } broken;
    CHECK(error_of([&] { apply_layer_tar(root.get(), {}, broken); }).starts_with("aborted"));
  }

  TEST_CASE_FIXTURE(ApplySandbox, "every truncation of a tar is an error or a clean prefix") {
    TarBuilder tar;
    tar.header(directory("d/")).file("d/f", std::string(700, 'x')).file("g", "y").end();
    const std::string whole = tar.str();
    for (size_t length = 0; length < whole.size(); length += 37) {
      CAPTURE(length);
      start_over();
      const std::string error = error_of([&] { apply(whole.substr(0, length)); });
      // Only between members can a cut look like the end.
      if (error.empty()) CHECK(length % 512 == 0);
      check_canary();
    }
  }
}

}  // namespace
}  // namespace overlayd::test
