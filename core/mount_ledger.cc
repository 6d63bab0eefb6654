// SPDX-License-Identifier: Apache-2.0
#include "core/mount_ledger.h"

#include <fcntl.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <span>

#include "core/error.h"
#include "core/sys.h"

namespace overlayd {
namespace {

constexpr char kDirectory[] = "mounts";
constexpr int kDigits = 10;  // of the largest unsigned
constexpr size_t kRecordSize = kDigits + 1;

unsigned parse_count(const std::string& text) {
  unsigned count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  return error == std::errc() && text.size() == kRecordSize ? count : 1;
}

std::map<LayerId, unsigned> load_from(int directory) {
  std::map<LayerId, unsigned> counts;
  for (const sys::DirEntry& entry : sys::list_directory(directory)) {
    try {
      const auto text = sys::try_read_file(directory, entry.name, kRecordSize);
      if (text) counts.emplace(LayerId::parse(entry.name), parse_count(*text));
    } catch (const SysError& error) {
      // Forgetting a holder takes a container's root away.
      if (error.errnum() != EISDIR && error.errnum() != ELOOP && error.errnum() != ENXIO) throw;
    } catch (const Error&) {
      // Not written by us. It tells nothing, and is no reason not to start.
    }
  }
  return counts;
}

}  // namespace

std::map<LayerId, unsigned> read_mount_ledger(const std::filesystem::path& state_dir) {
  const UniqueFd state = sys::open_path_dir(AT_FDCWD, state_dir.string());
  const UniqueFd directory = sys::try_openat(state.get(), kDirectory, O_PATH | O_DIRECTORY);
  return directory ? load_from(directory.get()) : std::map<LayerId, unsigned>();
}

MountLedger::MountLedger(const std::filesystem::path& state_dir) {
  const UniqueFd state = sys::open_path_dir(AT_FDCWD, state_dir.string());
  sys::mkdirat(state.get(), kDirectory, 0700);
  directory_ = sys::open_path_dir(state.get(), kDirectory);
}

std::map<LayerId, unsigned> MountLedger::load() const { return load_from(directory_.get()); }

void MountLedger::record(const LayerId& id, unsigned holders) {
  with_context("record the mounts of layer " + quoted(id.str()), [&] {
    const UniqueFd fd =
        sys::openat(directory_.get(), id.str(), O_WRONLY | O_CREAT | O_NOFOLLOW, 0600);
    char text[kRecordSize + 1];
    std::snprintf(text, sizeof text, "%0*u\n", kDigits, holders);
    sys::write_full(fd.get(), std::as_bytes(std::span(text, kRecordSize)));
  });
}

void MountLedger::forget(const LayerId& id) noexcept {
  ::unlinkat(directory_.get(), id.str().c_str(), 0);
}

}  // namespace overlayd
