// SPDX-License-Identifier: Apache-2.0
//
// A survey of a store: which layers there are, what each lies on, what is wrong, and what of that
// can be mended from what is written twice: l/<LINK> names the layer whose `link` says LINK, and a
// layer's `lower` is its parent's link and then its parent's `lower`. Start-up and `overlayd check`
// use this same survey, and the same repairs. The table of states is in docs/on-disk-layout.md.
//
// Surveying only reads. Nothing is ever repaired on a guess, and no layer is ever removed.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/layer_files.h"
#include "core/layer_id.h"
#include "core/observer.h"

namespace overlayd {

/// One change of the store's own small files, which loses nothing.
struct Repair {
  enum class Kind {
    WriteFile,  ///< `path` gets `content`
    MakeLink,   ///< `path` becomes a symlink to `content`
    Unlink,     ///< `path` goes
  };
  Kind kind;
  std::string path;  ///< below the home
  std::string content;
  std::string done;  ///< what to say of it afterwards
};

struct Finding {
  enum class Gravity {
    Damage,    ///< something that should be there is not, or is wrong
    Leftover,  ///< something is there that does no harm
  };
  Gravity gravity;
  std::string layer;  ///< its id; empty when it is about no layer
  std::string file;   ///< below the home
  std::string what;   ///< a sentence without its end
  std::optional<Repair> repair = std::nullopt;

  /// Whether both say the same thing of the same place.
  bool same_as(const Finding& other) const {
    return layer == other.layer && file == other.file && what == other.what;
  }
};

struct SurveyedLayer {
  LayerId id;
  LayerRecord record;            ///< with what could be derived
  std::optional<size_t> parent;  ///< index in Survey::layers; nullopt: none, or none that is there
  std::string damage;            ///< not empty: cannot be served, and this is why
  bool merged = false;           ///< there is a mount point
};

struct Survey {
  std::vector<SurveyedLayer> layers;  ///< each behind its parent
  std::vector<Finding> findings;
  size_t as_recorded = 0;  ///< layers whose files were not read; see core/store_listing.h
};

/// Whether an error of reading is about the file, and not about what this process may have.
bool tells_of_damage(int errnum);

/// Reads the small files of every layer below `home`, and l/. Throws SysError when the home or l/
/// cannot be read at all; a layer that cannot be read is a finding.
Survey survey_store(int home);

/// The same of a store whose lock the caller holds, with the record of when it was last closed.
Survey survey_store_by_record(int home);

/// Makes the repairs of all findings that have one. One that fails is told to `observer` and
/// changes nothing for the others. Returns the findings that were mended, by index. The caller
/// holds the store's lock.
std::vector<size_t> mend_store(int home, const Survey& survey, Observer& observer);

}  // namespace overlayd
