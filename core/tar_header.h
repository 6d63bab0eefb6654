// SPDX-License-Identifier: Apache-2.0
//
// TarHeader: the header blocks of one member, decoded and judged: extension headers (PAX, GNU long
// names), the member's own block, and the map of a sparse file. It refuses what libarchive reads
// otherwise than the engines do (Go's archive/tar), or reads generously: a layer that two readers
// see differently is one that deceives somebody. The blocks are drawn in core/tar_field.h. Pure
// functions over bytes; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/tar_entry.h"
#include "core/tar_field.h"

namespace overlayd {

/// PATH_MAX: a longer name could not be used as a path afterwards.
inline constexpr size_t kMaxTarName = 4096;
/// All header blocks of one member. Linux allows 64 KiB of xattrs a file by name and the same by
/// value; four times that leaves room for names, and stops header bombs.
inline constexpr size_t kMaxTarHeader = 512 * 1024;

/// Of a regular file, holes included: what ext4 can hold. More is no file but an attack on whoever
/// reads it to its end.
inline constexpr uint64_t kMaxTarFile = uint64_t{1} << 44;

class TarHeader {
 public:
  /// Reads all blocks from the first extension header to the end of the sparse map if there is one,
  /// checksums already verified. `raw` must outlive the object. Throws Error(BadArchive) for
  /// extension headers that are malformed or contradict each other, and numbers that are none.
  explicit TarHeader(std::string_view raw);

  /// Of the member, unchecked: for messages.
  std::string name() const;

  /// The member; of a sparse file, `size` is that of its data. Throws Error(BadArchive) for what no
  /// member of a layer may be.
  TarEntry entry() const;

  bool is_sparse() const;

  /// Whether a reader may find data that the member, by its type, does not have.
  bool claims_data() const;

 private:
  char type() const;
  std::string text(const TarField& field) const;
  uint64_t natural(const TarField& field) const;
  const std::string* record(std::string_view key) const;

  std::string_view take_block(std::string_view& raw);
  void read_extension(std::string_view& raw, std::string& seen);
  TarType tar_type() const;
  std::map<std::string, std::string> xattrs() const;
  TarTime mtime() const;
  void set_device(TarEntry& entry) const;
  uint64_t data_size() const;
  void check_sparse(TarType entry_type) const;
  void check_pax_sparse() const;
  std::vector<int64_t> pax_sparse_map() const;
  void check_gnu_sparse() const;

  std::string_view block_;  // the last one looked at, in the end the member's own
  bool gnu_ = false;
  bool ustar_ = false;
  std::string_view map_;  // blocks behind it that are a sparse map
  PaxRecords records_;
};

/// `blocks` is where an archive seems to end: PAX global headers without a member, then zero blocks
/// and whatever is behind them, or nothing. Throws Error(BadArchive) when there is but one zero
/// block and something else behind it, which readers take for the end or not, or the stream ends
/// within a block.
void check_tar_end(std::string_view blocks);

}  // namespace overlayd
