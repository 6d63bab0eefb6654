// SPDX-License-Identifier: Apache-2.0
//
// Layout: every name below the home directory is made and parsed here. It is Docker's overlay2
// layout, so that either driver can read what the other wrote, with one directory of overlayd's own
// beside it:
//
//   <home>/                      0710, group = container root's gid
//     l/                         0700
//       <LINK> -> ../<id>/diff   one short name (26 characters) a layer: 128 lowers fit a page
//     <id>/                      0710, group = container root's gid; one a layer, made by a rename
//       diff/                    0755, container root's; the layer's content, and overlay's upper
//       link                     the layer's LINK, no newline
//       lower                    "l/<LINK>:l/<LINK>…", nearest parent first; only with a parent
//       work/                    0700; overlay's work directory; only with a parent
//       merged/                  0700; the mount point; there only while mounted
//       committed                empty; there once the layer has had a child, and is read-only
//       removed                  overlayd's, in place of `committed`: the layer is removed, and is
//                                here for those on it only, until the last of them is removed
//       partial/                 overlayd's: an ApplyDiff is filling it, or one failed here. It
//                                becomes diff/ by one rename; while it exists the layer takes only
//                                Remove
//       size                     overlayd's: the bytes of diff/ as DiffSize counts them, in digits,
//                                with a newline; only beside `committed`, and may be missing
//       digests                  overlayd's: what ApplyDiff has put into diff/, as drawn in
//                                core/layer_digests.h; goes before somebody may write there
//     .overlayd/                 0700
//       lock                     flock'ed by the process that serves this home
//       listing                  what the layers' small files said when the store was last closed;
//                                may be missing or out of date: see core/store_listing.h
//       staging/<random>/        layers being made; swept at start
//       trash/<random>/          removed layers whose space is not back yet; emptied in the
//                                background
//
// What each crash leaves here and what start-up does about it: docs/on-disk-layout.md.
// All paths are relative to the home directory. Pure functions, any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/layer_id.h"

namespace overlayd::layout {

inline constexpr char kLinkDirectory[] = "l";
inline constexpr char kOwnDirectory[] = ".overlayd";
inline constexpr char kLockFile[] = ".overlayd/lock";
inline constexpr char kListingFile[] = ".overlayd/listing";
inline constexpr char kStagingDirectory[] = ".overlayd/staging";
inline constexpr char kTrashDirectory[] = ".overlayd/trash";

// Names inside a layer's directory.
inline constexpr char kDiff[] = "diff";
inline constexpr char kLink[] = "link";
inline constexpr char kLower[] = "lower";
inline constexpr char kWork[] = "work";
inline constexpr char kMerged[] = "merged";
inline constexpr char kCommitted[] = "committed";
inline constexpr char kRemoved[] = "removed";
inline constexpr char kPartial[] = "partial";
inline constexpr char kSize[] = "size";
inline constexpr char kDigests[] = "digests";

/// What an engine appends to a container's id for the layer that it puts below the container's own.
inline constexpr std::string_view kInitSuffix = "-init";

/// What base32 makes of 130 random bits; Docker's length.
inline constexpr size_t kLinkLength = 26;
/// A `lower` of the deepest chain the kernel can mount, with room; more is damage.
inline constexpr size_t kMaxLowerFile = 512 * (kLinkLength + 3);
/// The digits of the largest size, and the newline.
inline constexpr size_t kMaxSizeFile = 20;

inline std::string in_layer(const LayerId& id, const char* name) { return id.str() + "/" + name; }

/// A fresh LINK from the kernel's random source.
std::string random_link();
/// A fresh name for staging and trash.
std::string random_name();

bool is_link(std::string_view text);
/// "l/<LINK>".
std::string link_path(std::string_view link);
/// "../<id>/diff".
std::string link_target(const LayerId& id);
/// The <id> of a link target; empty when it is not one.
std::string_view id_in_link_target(std::string_view target);

/// The text of a `lower` file, and back. parse throws Error(Corrupt) saying what is wrong with it.
std::string format_lower(const std::vector<std::string>& links);
std::vector<std::string> parse_lower(std::string_view text);
/// The front of what may be only the beginning of a `lower` file that names nothing but links; all
/// of a whole one, and of what names none nothing.
std::string_view front_of_lower(std::string_view text);
/// Whether it is the text of a `lower` file, to its end.
bool is_whole_lower(std::string_view text);
/// The first link in such a text, which may also be empty: then none.
std::string_view first_of_lower(std::string_view text);
/// The text of a layer that lies on one whose link is `link` and whose own text, or none, `lower`.
std::string lower_on(std::string_view link, std::string_view lower);

/// The text of a `size` file, and back; nullopt for what was not written to its end.
std::string format_size(int64_t size);
std::optional<int64_t> parse_size(std::string_view text);

}  // namespace overlayd::layout
