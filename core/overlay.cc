// SPDX-License-Identifier: Apache-2.0
#include "core/overlay.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/statfs.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "core/error.h"
#include "core/mount.h"
#include "core/scope_exit.h"
#include "core/sys.h"

namespace overlayd {
namespace {

constexpr const char* kSource = "overlay";

// fsconfig(2): "value" has 256 bytes with its NUL.
constexpr size_t kMaxNameValue = 255;

// --- what both ways of passing options share

using Option = std::pair<std::string, std::string>;

// Features that make an upper directory depend on its lowers or on other mounts are off, whatever
// the module was told: overlayfs.rst, "Changes to underlying filesystems" and "Sharing and copying
// layers".
std::vector<Option> feature_options(const OverlaySupport& support) {
  std::vector<Option> options;
  if (support.index_option) options.emplace_back("index", "off");
  if (support.redirect_dir_option) options.emplace_back("redirect_dir", "off");
  if (support.metacopy_option) options.emplace_back("metacopy", "off");
  return options;
}

bool selinux_is_on() {
  // selinuxfs is registered only if SELinux was enabled at boot.
  const auto types = sys::try_read_file(AT_FDCWD, "/proc/filesystems", 64 * size_t{1024});
  return types && types->find("\tselinuxfs\n") != std::string::npos;
}

void check_label(const std::string& label) {
  if (label.empty()) return;
  // Neither can be part of a context, and a quote would end it early in Classic's options.
  if (label.find_first_of(std::string_view("\"\\\0", 3)) != std::string::npos) {
    throw Error(ErrorKind::InvalidArgument, quoted(label) + " is not an SELinux context");
  }
  if (!selinux_is_on()) {
    throw Error(ErrorKind::Unsupported, "the mount label " + quoted(label) +
                                            " needs SELinux, which is off on this machine");
  }
}

void check_layers(const OverlaySpec& spec, const OverlaySupport& support) {
  if (spec.lowers.empty()) throw Error(ErrorKind::InvalidArgument, "no lower layer");
  if (spec.lowers.size() > support.max_lowers) {
    throw Error(ErrorKind::InvalidArgument, "at most " + std::to_string(support.max_lowers) +
                                                " lower layers can be mounted with " +
                                                std::string(to_string(support.method)));
  }
  if (spec.upper.has_value() != spec.work.has_value()) {
    throw Error(ErrorKind::InvalidArgument, "an upper and a work directory go together");
  }
  if (support.method == MountMethod::LayerFds) return;
  const auto by_fd = [](const OverlayLayer& layer) { return layer.fd >= 0; };
  if (std::any_of(spec.lowers.begin(), spec.lowers.end(), by_fd) ||
      (spec.upper && (by_fd(*spec.upper) || by_fd(*spec.work)))) {
    throw Error(ErrorKind::InvalidArgument,
                std::string(to_string(support.method)) + " takes no layers by descriptor");
  }
}

// --- LayerFds and LayerNames

// Calls set(key, layer) for every layer, in the order the kernel wants.
template <typename Set>
void for_each_layer(const OverlaySpec& spec, Set set) {
  for (const OverlayLayer& lower : spec.lowers) set("lowerdir+", lower);
  if (!spec.upper) return;
  set("upperdir", *spec.upper);
  set("workdir", *spec.work);
}

bool is_plain_name(const std::string& path) {
  return path.size() <= kMaxNameValue && path.find_first_of("\\:,") == std::string::npos;
}

// By name where that can be: one call a layer, and half the time of opening it, handing it over and
// closing it. Whether overlayfs unescapes a single name differs between options and versions, and a
// long name does not fit: both go by way of a descriptor, which the kernel follows when the option
// is set.
void set_layers(FsContext& context, int home_fd, const OverlaySpec& spec) {
  run_in_directory(home_fd, [&] {
    for_each_layer(spec, [&](const char* key, const OverlayLayer& layer) {
      if (layer.fd >= 0) return context.set_fd(key, layer.fd);
      if (is_plain_name(layer.path)) return context.set_string(key, layer.path);
      const UniqueFd opened = sys::open_path_dir(home_fd, layer.path);
      with_context([&] { return quoted(layer.path); },
                   [&] { context.set_string(key, sys::fd_path(opened.get())); });
    });
  });
}

DetachedMount make_overlay(int home_fd, const OverlaySpec& spec, const OverlaySupport& support) {
  FsContext context("overlay");
  context.set_string("source", kSource);
  for (const auto& [key, value] : feature_options(support)) context.set_string(key, value);
  if (!spec.mount_label.empty()) context.set_string("context", spec.mount_label);
  set_layers(context, home_fd, spec);
  return context.create();
}

// --- Classic

// overlayfs splits its options at ',' and lowerdir at ':', and takes a backslash before any byte as
// "this byte": ovl_next_opt and ovl_unescape in fs/overlayfs/params.c.
std::string escaped(std::string_view path) {
  std::string out;
  for (const char c : path) {
    if (c == '\\' || c == ':' || c == ',') out += '\\';
    out += c;
  }
  return out;
}

std::string absolute_in(int home_fd, const std::string& path) {
  return sys::fd_path(home_fd) + "/" + path;
}

// mount(2) copies one page, the last byte of which must be NUL.
void check_options_fit(const OverlaySpec& spec, const std::string& options) {
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  if (options.size() < page) return;
  throw Error(ErrorKind::InvalidArgument,
              std::to_string(spec.lowers.size()) + " lower layers need " +
                  std::to_string(options.size() + 1) + " bytes of mount options, a page has " +
                  std::to_string(page));
}

void mount_overlay_classic(int home_fd, const OverlaySpec& spec, const std::string& target,
                           const OverlaySupport& support) {
  const std::string options = classic_options(spec, support);
  check_options_fit(spec, options);
  run_in_directory(home_fd, [&] {
    mount_classic(kSource, absolute_in(home_fd, target), "overlay", 0, options);
  });
}

// --- a single lower, read-only

// What a remount would otherwise take away. The ST_ bits of statfs(2) are the MS_ bits.
unsigned long kept_flags(const std::string& path) {
  struct statfs info {};
  if (sys::retry_eintr([&] { return ::statfs(path.c_str(), &info); }) != 0) {
    throw_errno("ask for the mount flags of", path);
  }
  return static_cast<unsigned long>(info.f_flags) & (MS_NOSUID | MS_NODEV | MS_NOEXEC);
}

// Before 5.12 a bind mount becomes read-only only after it is attached.
void bind_classic(int home_fd, const std::string& lower, const std::string& target) {
  const std::string path = absolute_in(home_fd, target);
  mount_classic(absolute_in(home_fd, lower), path, nullptr, MS_BIND);
  ScopeExit undo([&] { ::umount2(path.c_str(), MNT_DETACH); });
  mount_classic({}, path, nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | kept_flags(path));
  undo.dismiss();
}

void mount_read_only_bind(int home_fd, const OverlayLayer& lower, const std::string& target,
                          const OverlaySupport& support) {
  if (support.method == MountMethod::Classic) return bind_classic(home_fd, lower.path, target);
  const UniqueFd opened = lower.fd >= 0 ? UniqueFd() : sys::open_path_dir(home_fd, lower.path);
  clone_read_only(opened ? opened.get() : lower.fd).attach(home_fd, target);
}

std::string describe(const OverlaySpec& spec, const std::string& target) {
  return "mount overlay on " + quoted(target) + " with " + std::to_string(spec.lowers.size()) +
         (spec.lowers.size() == 1 ? " lower layer" : " lower layers");
}

}  // namespace

void mount_overlay(int home_fd, const OverlaySpec& spec, const std::string& target,
                   const OverlaySupport& support) {
  with_context(describe(spec, target), [&] {
    check_layers(spec, support);
    check_label(spec.mount_label);
    if (!spec.upper && spec.lowers.size() == 1) {
      mount_read_only_bind(home_fd, spec.lowers.front(), target, support);
    } else if (support.method == MountMethod::Classic) {
      mount_overlay_classic(home_fd, spec, target, support);
    } else {
      make_overlay(home_fd, spec, support).attach(home_fd, target);
    }
  });
}

void make_and_drop_overlay(int home_fd, const std::vector<OverlayLayer>& lowers,
                           const OverlaySupport& support) {
  const OverlaySpec spec{.lowers = lowers, .upper = {}, .work = {}, .mount_label = {}};
  with_context("make an overlay", [&] {
    check_layers(spec, support);
    make_overlay(home_fd, spec, support);
  });
}

std::string classic_options(const OverlaySpec& spec, const OverlaySupport& support) {
  std::string options = "lowerdir=";
  for (const OverlayLayer& lower : spec.lowers) {
    if (&lower != &spec.lowers.front()) options += ':';
    options += escaped(lower.path);
  }
  if (spec.upper) options += ",upperdir=" + escaped(spec.upper->path);
  if (spec.work) options += ",workdir=" + escaped(spec.work->path);
  for (const auto& [key, value] : feature_options(support)) options += "," + key + "=" + value;
  if (!spec.mount_label.empty()) options += ",context=\"" + spec.mount_label + "\"";
  return options;
}

}  // namespace overlayd
