// SPDX-License-Identifier: Apache-2.0
//
// Recording: a workload run on a recording disk, once.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/crash/block_device.h"
#include "tests/crash/recording_disk.h"
#include "tests/crash/workload.h"

namespace overlayd::test {

/// Opens the driver under test below a directory.
using OpenDriver = std::function<std::unique_ptr<Driver>(const std::string& root)>;

/// Directories to mount things on, one set for each process.
struct Places {
  std::string disk, mount, base, crashed, state;
};

/// Layers by id, as tree_dump shows them.
using Contents = std::map<std::string, std::vector<std::string>>;

struct Recording {
  std::unique_ptr<RecordingDisk> disk;  ///< no longer in use; for its log
  std::vector<CallTimes> times;         ///< by call of the workload
  Contents contents;                    ///< at the end; of layers that are gone, before that
};

/// The content of the layer `id` below `root`; empty when it is not there.
std::vector<std::string> layer_content(const std::string& root, const std::string& id);

/// A disk with prepared layers on it, as places.base.
Contents make_base(FileSystem type, const Places& places, const OpenDriver& open_driver);

/// `prepared` is what make_base returned.
Recording record(FileSystem type, const Places& places, const Workload& workload,
                 const Contents& prepared, const OpenDriver& open_driver);

}  // namespace overlayd::test
