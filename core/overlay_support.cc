// SPDX-License-Identifier: Apache-2.0
#include "core/overlay_support.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <functional>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/filesystem.h"
#include "core/mount.h"
#include "core/overlay.h"
#include "core/scope_exit.h"
#include "core/sys.h"
#include "core/whiteout.h"
#include "core/xattr.h"

namespace overlayd {
namespace {

constexpr const char* kProbe = "overlay-probe";
constexpr const char* kGoodFilesystems = "ext4, xfs with ftype=1, or btrfs";

[[noreturn]] void throw_unsupported(const std::string& sentence) {
  throw Error(ErrorKind::Unsupported, sentence);
}

// Whether an error says nothing of what the kernel and the file system can do: whoever asks again
// may hear something else.
bool is_passing(const SysError& error) {
  return error.errnum() == EIO || tells_of_want(error.errnum());
}

// --- the probe's tree: two lowers, an upper, and where they are mounted

void remove_probe(int scratch) {
  unmount_lazily(scratch, std::string(kProbe) + "/merged");  // left by a crash
  sys::remove_tree(scratch, kProbe);
}

UniqueFd make_probe(int scratch) {
  sys::mkdirat(scratch, kProbe, 0700);
  UniqueFd probe = sys::open_path_dir(scratch, kProbe);
  for (const char* dir : {"far", "near", "near/dir", "upper", "work", "merged"}) {
    sys::mkdirat(probe.get(), dir, 0700);
  }
  sys::openat(probe.get(), "far/file", O_WRONLY | O_CREAT | O_EXCL, 0600);
  return probe;
}

// --- what the file system must have

void check_not_overlayfs(const std::string& filesystem) {
  if (filesystem != "overlayfs") return;
  throw_unsupported(
      std::string(
          "the home directory lies on an overlayfs, whose upper fs does not support being a "
          "layer: put it on a volume or a host directory with ") +
      kGoodFilesystems);
}

void check_d_type(int dirfd, const std::string& filesystem) {
  if (reports_d_type(dirfd)) return;
  throw_unsupported("the home directory's file system (" + filesystem + ") has no d_type: use " +
                    kGoodFilesystems);
}

void check_trusted_xattrs(int dirfd, const std::string& filesystem) {
  try {
    xattr::set({dirfd, "work"}, "trusted.overlay.probe", "y");
  } catch (const SysError& error) {
    if (is_passing(error)) throw;
    if (error.errnum() == EPERM) {
      throw_unsupported(std::string("trusted.* xattrs take CAP_SYS_ADMIN in the first user "
                                    "namespace: run with that capability: ") +
                        error.what());
    }
    throw_unsupported("the home directory's file system (" + filesystem +
                      ") takes no trusted.* xattrs: use " + kGoodFilesystems + ": " + error.what());
  }
  xattr::remove({dirfd, "work"}, "trusted.overlay.probe");
}

void check_device_nodes(int dirfd, const std::string& filesystem) {
  try {
    whiteout::make(dirfd, "whiteout");
  } catch (const SysError& error) {
    if (is_passing(error)) throw;
    throw_unsupported("no whiteout device node can be made on the home directory's file system (" +
                      filesystem + "): run with CAP_MKNOD and use " + kGoodFilesystems + ": " +
                      error.what());
  }
}

// --- what the mounted overlay must do

void check_writable(int merged) {
  try {
    sys::openat(merged, "new", O_WRONLY | O_CREAT | O_EXCL, 0600);
  } catch (const SysError& error) {
    if (is_passing(error)) throw;
    throw_unsupported(
        std::string("overlays on the home directory's file system are not writable (see "
                    "the kernel log): use ") +
        kGoodFilesystems + ": " + error.what());
  }
}

void check_whiteouts(int merged, int upper) {
  sys::unlinkat(merged, "file", 0);
  const auto info = sys::try_fstatat(upper, "file");
  if (info && whiteout::is_whiteout(*info)) return;
  throw_unsupported("this kernel's overlayfs does not mark a deletion with a 0:0 device node");
}

void check_no_redirects(int merged) {
  try {
    sys::renameat(merged, "dir", merged, "renamed");
  } catch (const SysError& error) {
    if (error.errnum() == EXDEV) return;
    throw;
  }
  throw_unsupported(
      "this kernel's overlayfs renames lower directories by redirect_dir, which makes layers "
      "depend on "
      "each other, and takes no option against it: load the module with redirect_dir=off");
}

void check_behaviour(int probe) {
  const UniqueFd merged = sys::open_path_dir(probe, "merged");
  const UniqueFd upper = sys::open_path_dir(probe, "upper");
  check_writable(merged.get());
  check_whiteouts(merged.get(), upper.get());
  check_no_redirects(merged.get());
}

// --- which method

// The options by what the loaded module shows. Without a sysfs to look at, both possibilities are
// tried.
std::vector<OverlaySupport> with_options(OverlaySupport support) {
  const UniqueFd parameters =
      sys::try_openat(AT_FDCWD, "/sys/module/overlay/parameters", O_PATH | O_DIRECTORY);
  const auto known = [&](const char* option) {
    return !parameters || sys::try_fstatat(parameters.get(), option).has_value();
  };
  std::vector<OverlaySupport> all{support};
  support.index_option = known("index");
  support.redirect_dir_option = known("redirect_dir");
  support.metacopy_option = known("metacopy");
  if (parameters) all.clear();
  all.insert(all.begin(), support);
  return all;
}

std::vector<OverlaySupport> candidates(MountMethod wanted) {
  std::vector<OverlaySupport> all;
  for (const auto method : {MountMethod::LayerFds, MountMethod::LayerNames, MountMethod::Classic}) {
    if (wanted != MountMethod::Auto && wanted != method) continue;
    const size_t max_lowers = method == MountMethod::Classic ? kMaxClassicLowers : kMaxLowers;
    for (const auto& support : with_options({.method = method, .max_lowers = max_lowers})) {
      all.push_back(support);
    }
  }
  return all;
}

std::string advice(int errnum, const std::string& filesystem) {
  switch (errnum) {
    case ENODEV:
      return "this kernel has no overlayfs: load the module 'overlay', or use a kernel with "
             "CONFIG_OVERLAY_FS";
    case EPERM:
    case EACCES: return "mounting is not permitted here: run with CAP_SYS_ADMIN";
    default:
      return "no overlay can be mounted on the home directory's file system (" + filesystem +
             "): use " + kGoodFilesystems;
  }
}

std::string explain(MountMethod wanted, int errnum, const std::string& filesystem) {
  switch (wanted) {
    case MountMethod::LayerFds:
      if (errnum == EINVAL || errnum == ENOSYS) {
        return "the mount method layer-fds needs Linux 6.13: choose auto";
      }
      break;
    case MountMethod::LayerNames:
      if (errnum == EINVAL || errnum == ENOSYS) {
        return "the mount method layer-names needs Linux 6.8: choose auto";
      }
      break;
    default: break;
  }
  return advice(errnum, filesystem);
}

// fsopen(2) and mount(2) load the module, whose parameters are looked at next. Linux before 5.2 has
// no fsopen; what else may be wrong, the attempts to mount will tell.
void load_module() {
  try {
    FsContext context("overlay");
  } catch (const SysError&) {
    return;
  }
}

OverlaySupport first_that_works(MountMethod wanted, const std::string& filesystem,
                                const std::function<void(const OverlaySupport&)>& attempt) {
  load_module();
  std::string reasons;
  int errnum = 0;
  for (const OverlaySupport& support : candidates(wanted)) {
    try {
      attempt(support);
      return support;
    } catch (const SysError& error) {
      if (is_passing(error)) throw;
      errnum = error.errnum();
      reasons += (reasons.empty() ? "" : "; ") + std::string(to_string(support.method)) + ": " +
                 error.what();
    }
  }
  throw_unsupported(explain(wanted, errnum, filesystem) + " (" + reasons + ")");
}

// A layer as the method can take it, at best.
OverlayLayer best_given(int dirfd, const std::string& path, const OverlaySupport& support,
                        UniqueFd& opened) {
  if (support.method == MountMethod::LayerFds) opened = sys::open_path_dir(dirfd, path);
  return {.path = path, .fd = opened.get()};
}

void mount_probe(int probe, const OverlaySupport& support) {
  UniqueFd far;
  const OverlaySpec spec{.lowers = {{.path = "near"}, best_given(probe, "far", support, far)},
                         .upper = OverlayLayer{.path = "upper"},
                         .work = OverlayLayer{.path = "work"},
                         .mount_label = {}};
  mount_overlay(probe, spec, "merged", support);
}

}  // namespace

OverlaySupport probe_overlay(int scratch_dirfd, MountMethod wanted) {
  const std::string filesystem = filesystem_name(scratch_dirfd);
  check_not_overlayfs(filesystem);
  remove_probe(scratch_dirfd);
  ScopeExit undo([&] {
    try {
      remove_probe(scratch_dirfd);
    } catch (const Error&) {
      // The next probe tries again; what went wrong before this is the better error.
    }
  });
  const UniqueFd probe = make_probe(scratch_dirfd);
  check_d_type(probe.get(), filesystem);
  check_trusted_xattrs(probe.get(), filesystem);
  check_device_nodes(probe.get(), filesystem);
  const OverlaySupport support = first_that_works(
      wanted, filesystem, [&](const auto& some) { mount_probe(probe.get(), some); });
  check_behaviour(probe.get());
  // Must not fail unseen: what stayed mounted would go into the trash with staging, and stay there.
  remove_probe(scratch_dirfd);
  undo.dismiss();
  return support;
}

OverlaySupport probe_overlay_on_full_disk(int home, const std::string& one,
                                          const std::string& other, MountMethod wanted) {
  return first_that_works(wanted, filesystem_name(home), [&](const OverlaySupport& support) {
    // Every kernel has mount(2), and would have to be given a place for it.
    if (support.method == MountMethod::Classic) return;
    UniqueFd opened;
    make_and_drop_overlay(home, {{.path = one}, best_given(home, other, support, opened)}, support);
  });
}

}  // namespace overlayd
