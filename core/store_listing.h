// SPDX-License-Identifier: Apache-2.0
//
// A listing of a store: its layers, each with what its small files say, and where the names in l/
// lead. It is what core/store_survey.h judges.
//
// Reading the files of every layer is most of what a start takes. So a store that is closed leaves
// a record of its listing, .overlayd/listing: of each layer what its files say, and by what to see
// that they still do. Nobody can change a file, or the names in a directory, and leave the inode's
// time of change (ctime) as it was; sizes show what a power cut has taken from a file. A layer that
// is not as recorded, or not recorded, is read as ever. So the record may be lost, damaged or older
// than the layers, and is never what decides.
//
// It is text, in lines that end with a NUL; anything else in it is another number in the first:
//
//   overlayd listing 1
//   l STAMP                              l/ itself, where all names are links; then each of them:
//   n LINK TARGET
//   d FLAGS STAMP STAMP LINK LOWER SIZE ID   a layer; the stamps of its directory and of `link`
//   = DIGEST                             of all that is before (core/content_digest.h)
//
// STAMP is an inode number, a time of change in nanoseconds and a size. LOWER and SIZE are a STAMP
// and what the file says, or "-". FLAGS are letters, one for each thing that is there.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/layer_files.h"
#include "core/layer_id.h"

namespace overlayd {

struct ListedLayer {
  LayerId id;
  LayerContents contents;
  std::string damage = {};  ///< not empty: it could not be read, and this is why
  bool operator==(const ListedLayer&) const = default;
};

struct StoreListing {
  std::vector<ListedLayer> layers;  ///< by id
  /// The names in l/, and where each leads; nullopt for what is no symlink.
  std::unordered_map<std::string, std::optional<std::string>> links;
  size_t as_recorded = 0;  ///< layers that were not read
};

/// Reads everything below `home`. Throws SysError when the home or l/ cannot be read at all.
StoreListing read_listing(int home);

/// The same, but for what is as recorded. The caller holds the store's lock.
StoreListing read_listing_by_record(int home);

/// Makes the record. What has changed shortly before `now` is left out of it: file systems are not
/// so exact about time that a later change would be seen. The caller holds the store's lock.
void record_listing(int home, std::chrono::system_clock::time_point now);

}  // namespace overlayd
