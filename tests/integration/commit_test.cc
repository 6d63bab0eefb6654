// SPDX-License-Identifier: Apache-2.0
#include "core/commit.h"

#include <fcntl.h>
#include <sys/mount.h>

#include <cstdlib>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "core/layout.h"
#include "core/mount.h"
#include "core/sys.h"
#include "tests/integration/overlay_fixture.h"
#include "tests/integration/store_fixture.h"
#include "tests/support/tar_builder.h"

namespace overlayd::test {
namespace {

void run(const std::string& command) {
  INFO(command);
  REQUIRE(std::system((command + " >/dev/null").c_str()) == 0);
}

/// File systems in images that lie in the sandbox.
struct ImageSandbox : StoreSandbox {
  ~ImageSandbox() {
    close();
    config.home = path() + "/home";
    for (const std::string& point : mounts) unmount_lazily(AT_FDCWD, point);
  }

  std::string mount_image(const std::string& name, const std::string& options = "") {
    std::string point = path() + "/" + name + ".mounted";
    sys::mkdirat(AT_FDCWD, point, 0755);
    run("mount -o loop" + (options.empty() ? "" : "," + options) + " " + path() + "/" + name + " " +
        point);
    mounts.push_back(point);
    return point;
  }

  std::string make(const std::string& name, const std::string& mkfs,
                   const std::string& options = "") {
    run("truncate --size 400M " + path() + "/" + name);
    run(mkfs + " " + path() + "/" + name);
    return mount_image(name, options);
  }

  static CommitMethod method(const std::string& point, Durability durability) {
    return choose_commit_method(durability,
                                sys::openat(AT_FDCWD, point, O_RDONLY | O_DIRECTORY).get())
        .method;
  }

  void open_on(const std::string& point, Durability durability) {
    config.home = point + "/home";
    config.durability = durability;
    open();
  }

  /// What the disk of `image` holds now, though its file system is in use: as after a power cut.
  std::string cut_power(const std::string& image, const std::string& options) {
    const std::string copy = image + ".copy" + std::to_string(mounts.size());
    run("cp --sparse=always " + path() + "/" + image + " " + path() + "/" + copy);
    return mount_image(copy, options) + "/home";
  }

  std::vector<std::string> mounts;
};

struct Kind {
  const char* mkfs;
  const char* copy_options;  // for a file system that is mounted already
};
constexpr Kind kKinds[] = {
    {"mkfs.ext4 -q", ""},
    {"mkfs.ext4 -q -O ^has_journal", ""},
    {"mkfs.xfs -q", "nouuid"},
};

std::string tar_of(int files) {
  TarBuilder tar;
  for (int i = 0; i < files; ++i) {
    tar.file("f" + std::to_string(i), std::string(5000, static_cast<char>('a' + i % 26)));
  }
  return tar.end().str();
}

int intact(const std::string& directory, int files) {
  int count = 0;
  for (int i = 0; i < files; ++i) {
    const std::string wanted(5000, static_cast<char>('a' + i % 26));
    const std::string path = directory + "/f" + std::to_string(i);
    if (sys::try_read_file(AT_FDCWD, path, wanted.size()) == wanted) ++count;
  }
  return count;
}

}  // namespace

TEST_SUITE("commit") {
  TEST_CASE_FIXTURE(ImageSandbox, "a commit is targeted where there is one journal in order") {
    const std::string ext4 = make("ext4", "mkfs.ext4 -q");
    const std::string xfs = make("xfs", "mkfs.xfs -q");
    const std::string bare = make("bare", "mkfs.ext4 -q -O ^has_journal");
    const std::string data = make("data", "mkfs.ext4 -q", "data=journal");
    // Its own default, which the mount table does not show.
    const std::string default_data =
        make("default", "sh -c 'mkfs.ext4 -q $0 && tune2fs -o journal_data $0'");
    CHECK(method(ext4, Durability::Strict) == CommitMethod::Targeted);
    CHECK(method(xfs, Durability::Strict) == CommitMethod::Targeted);
    CHECK(method(bare, Durability::Strict) == CommitMethod::Syncfs);
    CHECK(method(data, Durability::Strict) == CommitMethod::Syncfs);
    CHECK(method(default_data, Durability::Strict) == CommitMethod::Syncfs);
    CHECK(method(path(), Durability::Strict) == CommitMethod::Syncfs);  // tmpfs
    CHECK(method(ext4, Durability::Syncfs) == CommitMethod::Syncfs);
    CHECK(method(ext4, Durability::None) == CommitMethod::None);
  }

  TEST_CASE_FIXTURE(ImageSandbox, "the status says what is done for durability") {
    open_on(make("ext4", "mkfs.ext4 -q"), Durability::Strict);
    CHECK(store->status().durability == Durability::Strict);
    CHECK(store->status().commit_method == CommitMethod::Targeted);
  }

  TEST_CASE_FIXTURE(ImageSandbox, "what is said at the start has the reason") {
    const auto said = [&](const std::string& point, Durability durability) {
      notes.clear();
      open_on(point, durability);
      return notes.all().front().substr(std::string("info: ").size());
    };
    const std::string ext4 = make("ext4", "mkfs.ext4 -q");
    const std::string bare = make("bare", "mkfs.ext4 -q -O ^has_journal");
    const std::string data = make("data", "mkfs.ext4 -q", "data=journal");
    const std::string xfs = make("xfs", "mkfs.xfs -q");
    CHECK(said(ext4, Durability::Strict) ==
          "durability strict: commit method targeted (ext4 with a journal)");
    CHECK(said(bare, Durability::Strict) ==
          "durability strict: commit method syncfs (ext4 without a journal)");
    CHECK(said(data, Durability::Strict) ==
          "durability strict: commit method syncfs (ext4 with data=journal)");
    CHECK(said(xfs, Durability::Strict) == "durability strict: commit method targeted (xfs)");
    CHECK(said(path(), Durability::Strict) ==
          "durability strict: commit method syncfs (nothing is known of a journal in "
          "order on file system type 'tmpfs')");
    CHECK(said(ext4, Durability::Syncfs) ==
          "durability syncfs: commit method syncfs (as asked for)");
    CHECK(said(ext4, Durability::None) == "durability none: commit method none (as asked for)");
  }

  TEST_CASE_FIXTURE(ImageSandbox, "what answered survives a power cut") {
    for (const Kind& kind : kKinds) {
      for (const Durability durability : {Durability::Strict, Durability::Syncfs}) {
        INFO(std::string(kind.mkfs));
        INFO(std::string(to_string(durability)));
        const std::string image = "image" + std::to_string(mounts.size());
        open_on(make(image, kind.mkfs), durability);
        notes.commits = 0;
        create("base");
        // syncfs is waited for twice: before the name and behind it.
        CHECK(notes.commits == (store->status().commit_method == CommitMethod::Targeted ? 1 : 2));
        CHECK(apply("base", tar_of(300)) == 300 * 5000);
        CHECK(intact(cut_power(image, kind.copy_options) + "/base/diff", 300) == 300);
        create("top", "base");
        const std::string created = cut_power(image, kind.copy_options);
        CHECK(content_of(AT_FDCWD, created + "/top/lower") ==
              content_of(AT_FDCWD, config.home / "top/lower"));
        CHECK(layout::is_link(content_of(AT_FDCWD, created + "/top/link")));
        CHECK(std::filesystem::exists(created + "/base/committed"));
        CHECK(
            std::filesystem::exists(created + "/l/" + content_of(AT_FDCWD, created + "/top/link")));
        remove("top");
        CHECK_FALSE(std::filesystem::exists(cut_power(image, kind.copy_options) + "/top"));
      }
    }
  }

  // The disk is a file on a file system too small for it.
  TEST_CASE_FIXTURE(ImageSandbox, "a layer whose data the disk does not take is unfinished") {
    const std::string small = path() + "/small";
    sys::mkdirat(AT_FDCWD, small, 0755);
    REQUIRE(::mount("tmpfs", small.c_str(), "tmpfs", 0, "size=40m") == 0);
    open_on(make("small/disk", "mkfs.ext4 -q -J size=4 -E lazy_itable_init=0"), Durability::Strict);
    create("base");
    const std::string tar = TarBuilder().file("large", std::string(60 << 20, 'x')).end().str();
    const std::string refusal = error_of([&] { apply("base", tar); });
    CHECK(refusal.find("file 'large': write a file back: ") != std::string::npos);
    CHECK(error_of([&] { get("base"); }).find("did not finish") != std::string::npos);
    close();
    CHECK(unmount_lazily(AT_FDCWD, mounts.back()));
    mounts.back() = small;
  }
}

}  // namespace overlayd::test
