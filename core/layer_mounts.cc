// SPDX-License-Identifier: Apache-2.0
#include "core/layer_mounts.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/layer_overlay.h"
#include "core/layout.h"
#include "core/mount.h"
#include "core/scope_exit.h"
#include "core/store_mounts.h"
#include "core/sys.h"

namespace overlayd {

LayerMounts::LayerMounts(std::filesystem::path home, int home_fd,
                         const std::filesystem::path& state_dir, OverlaySupport overlay,
                         LayerOwner owner, Observer& observer)
    : home_path_(std::move(home)),
      home_(home_fd),
      home_info_(sys::fstat(home_fd)),
      overlay_(std::move(overlay)),
      owner_(owner),
      observer_(observer),
      ledger_(state_dir),
      unheld_([this](Layer& layer) { finish_letting_go(layer); }) {}

void LayerMounts::adopt(const LayerTable& table) {
  const auto recorded = ledger_.load();
  std::vector<std::shared_ptr<Layer>> leaving;
  for (const StoreMount& mount : mounts_in_store(home_)) {
    const std::shared_ptr<Layer> layer = table.find(mount.layer);
    if (!layer) {
      observer_.note(NoteLevel::Warning, "a mount that is no layer's lies in the store, on " +
                                             quoted(mount.entry.mount_point) +
                                             "; it is left alone");
      continue;
    }
    layer->mounted = true;
    layer->writers.begin();  // as far as anybody knows
    const auto count = recorded.find(layer->id);
    layer->holders = count == recorded.end() ? 0 : count->second;
    layer->leaving = count != recorded.end() && count->second == 0;
    if (layer->leaving) leaving.push_back(layer);
  }
  for (const auto& [id, count] : recorded) {
    const std::shared_ptr<Layer> layer = table.find(id);
    if (!layer || !layer->mounted) ledger_.forget(id);
  }
  for (std::shared_ptr<Layer>& layer : leaving) unheld_.add(std::move(layer));
}

std::filesystem::path LayerMounts::hold(Layer& layer, const std::string& mount_label) {
  if (!can_stay(layer, mount_label)) finish_letting_go(layer);
  if (layer.mounted) notice_foreign_unmount(layer, visible_home().get());
  // A layer on nothing needs no overlay. Once it has children it is shown read-only, but not to
  // those who hold it already: their path must stay.
  const bool plain = !layer.parent && !layer.mounted && (!layer.committed || layer.holders > 0);
  if (plain) {
    let_write(layer);
    ++layer.holders;
    return home_path_ / layout::in_layer(layer.id, layout::kDiff);
  }
  // Recorded before it is true: a kill in between must not lose a holder.
  ledger_.record(layer.id, layer.holders + 1);
  if (!layer.mounted) {
    ScopeExit forget([&] { ledger_.forget(layer.id); });
    layer.mount_label = mount_label;
    with_context("mount " + layer_name(layer.id), [&] { mount(layer, mount_label); });
    forget.dismiss();
    layer.mounted = true;
    if (!layer.committed) let_write(layer);
  }
  layer.leaving = false;
  ++layer.holders;
  return home_path_ / layout::in_layer(layer.id, layout::kMerged);
}

// Whether a mount that is leaving is what a get() would make now. To take it down and mount again
// would mean to wait until the kernel has written back the whole file system of its upper
// directory.
bool LayerMounts::can_stay(const Layer& layer, const std::string& mount_label) {
  return layer.mount_label == mount_label && layer.writers.active() != layer.committed;
}

// The home by its path, for everything that mounts, unmounts or looks at mounts. Our own descriptor
// may be on a mount that is no longer in the tree: Docker mounts its data root on itself when it
// starts and unmounts that when it stops. Nothing can be mounted on or from such a mount.
UniqueFd LayerMounts::visible_home() const {
  UniqueFd home = sys::open_path_dir(AT_FDCWD, home_path_.string());
  const struct stat now = sys::fstat(home.get());
  if (now.st_dev != home_info_.st_dev || now.st_ino != home_info_.st_ino) {
    throw Error(ErrorKind::Unsupported,
                "the home directory is hidden by something mounted over it, or was replaced");
  }
  return home;
}

void LayerMounts::notice_foreign_unmount(Layer& layer, int home) {
  if (is_mount_point(home, layout::in_layer(layer.id, layout::kMerged))) return;
  observer_.note(NoteLevel::Warning, layer_name(layer.id) + " was unmounted by somebody else");
  layer.mounted = layer.leaving = false;
  layer.holders = 0;
  layer.writers.lose_sight();
  ledger_.forget(layer.id);
}

void LayerMounts::let_write(Layer& layer) {
  layer.writers.begin();
  layer.size.reset();
}

void LayerMounts::mount(Layer& layer, const std::string& mount_label) {
  const std::string merged = layout::in_layer(layer.id, layout::kMerged);
  make_private_directory(home_, merged, owner_);
  ScopeExit remove_merged([&] { ::unlinkat(home_, merged.c_str(), AT_REMOVEDIR); });
  const OverlaySpec spec = overlay_spec(layer, mount_label);
  wait_for_unmounts(layer);
  const UniqueFd home = visible_home();
  mount_overlay(home.get(), spec, merged, overlay_);
  ScopeExit unmount([&] { unmount_lazily(home.get(), merged); });
  if (spec.upper && (owner_.root_uid != 0 || owner_.root_gid != 0)) {
    // The kernel made it as host root; Docker hands it to container root, and so does its remover.
    const UniqueFd inner = sys::openat(home_, layout::in_layer(layer.id, layout::kWork) + "/work",
                                       O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    sys::fchown(inner.get(), owner_.root_uid, owner_.root_gid);
  }
  unmount.dismiss();
  remove_merged.dismiss();
}

// A directory that is still the upper of another overlay must not be in this one.
void LayerMounts::wait_for_unmounts(const Layer& layer) {
  const std::vector<const Layer*> stack = layer.chain();
  // But for the layer itself, whose lock we have. Locks are taken from above to below only.
  unheld_.hurry([&](const Layer& other) {
    return &other != &layer && std::ranges::find(stack, &other) != stack.end();
  });
  drain_.wait_for([&](const LayerId& id) {
    return std::ranges::any_of(stack, [&](const Layer* at) { return at->id == id; });
  });
}

// Links are for what must hold all lowers on one page; to follow them is a third of the time that
// many lowers take.
std::string LayerMounts::lower_path(const Layer& lower) const {
  if (overlay_.method == MountMethod::Classic) return layout::link_path(lower.link);
  return layout::in_layer(lower.id, layout::kDiff);
}

OverlaySpec LayerMounts::overlay_spec(const Layer& layer, const std::string& mount_label) const {
  std::vector<std::string> lowers;
  if (layer.parent) {
    for (const Layer* lower : layer.parent->chain()) lowers.push_back(lower_path(*lower));
  }
  OverlaySpec spec = overlay_of(layer.id, layer.committed, lowers);
  spec.mount_label = mount_label;
  return spec;
}

void LayerMounts::let_go(const std::shared_ptr<Layer>& layer) {
  if (layer->mounted) notice_foreign_unmount(*layer, visible_home().get());
  const unsigned left = layer->holders > 0 ? layer->holders - 1 : 0;
  if (layer->mounted) {
    const bool leaving = left == 0;
    if (leaving && !layer->leaving) unheld_.add(layer);  // which is nothing unless it is leaving
    ledger_.record(layer->id, left);
    layer->leaving = leaving;
  } else if (left == 0) {
    layer->writers.end();
  }
  layer->holders = left;  // not before: who gets an error has given nothing back
}

// What fails now the next Put, Cleanup or Remove tries again.
void LayerMounts::finish_letting_go(Layer& layer) {
  if (!layer.leaving) return;
  try {
    release_unheld(layer);
  } catch (const std::exception& error) {
    observer_.note(
        NoteLevel::Warning,
        layer_name(layer.id) + " stays mounted, though nobody holds it: " + error.what());
  }
}

void LayerMounts::finish_letting_go() {
  unheld_.hurry([](const Layer&) { return true; });
}

void LayerMounts::release_unheld(Layer& layer) {
  if (!layer.mounted) return;
  layer.leaving = false;
  const UniqueFd home = visible_home();
  notice_foreign_unmount(layer, home.get());
  if (layer.mounted && layer.holders == 0) unmount_unless_in_use(layer, home.get());
}

void LayerMounts::clear(Layer& layer) {
  if (layer.mounted || sys::try_fstatat(home_, layout::in_layer(layer.id, layout::kMerged))) {
    unmount(layer, visible_home().get());
  }
}

void LayerMounts::settle() {
  drain_.wait_for([](const LayerId&) { return true; });
}

// Counts can be wrong (a Put too many, a ledger lost); a process that has the layer as its root
// directory is proof that it is in use. The next Put, Cleanup or Remove tries again.
void LayerMounts::unmount_unless_in_use(Layer& layer, int home) {
  if (is_someones_root(layer, home)) {
    observer_.note(NoteLevel::Warning,
                   layer_name(layer.id) +
                       " stays mounted: nobody holds it, but a process has it as "
                       "its root directory");
    return;
  }
  unmount(layer, home);
}

bool LayerMounts::is_someones_root(const Layer& layer, int home) {
  const auto info = sys::try_fstatat(home, layout::in_layer(layer.id, layout::kMerged));
  if (!info) return false;
  // A lone layer is a bind mount, whose device is that of the whole store.
  return layer.parent ? any_process_rooted_in(info->st_dev)
                      : any_process_rooted_in(info->st_dev, info->st_ino);
}

void LayerMounts::unmount(Layer& layer, int home) {
  const std::string merged = layout::in_layer(layer.id, layout::kMerged);
  UniqueFd root = sys::try_openat(home, merged, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  // Again only if somebody mounted on top; all of it is in the way of a removal.
  while (unmount_lazily(home, merged) && !remove_mount_point(merged)) {
  }
  layer.mounted = layer.leaving = false;
  layer.holders = 0;
  layer.writers.end();
  ledger_.forget(layer.id);
  if (root) drain_.take(layer.id, std::move(root));
}

// False: something else is mounted there.
bool LayerMounts::remove_mount_point(const std::string& merged) const {
  try {
    sys::unlinkat(home_, merged, AT_REMOVEDIR);
  } catch (const SysError& error) {
    if (error.errnum() == EBUSY) return false;
    observer_.note(NoteLevel::Warning, "left the mount point behind: " + std::string(error.what()));
  }
  return true;
}

}  // namespace overlayd
