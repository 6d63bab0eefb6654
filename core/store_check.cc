// SPDX-License-Identifier: Apache-2.0
#include "core/store_check.h"

#include <fcntl.h>

#include <algorithm>
#include <map>
#include <set>
#include <thread>
#include <utility>

#include "core/content_check.h"
#include "core/engine_layers.h"
#include "core/error.h"
#include "core/layer_quotas.h"
#include "core/layout.h"
#include "core/store_lock.h"
#include "core/store_look.h"
#include "core/store_mounts.h"
#include "core/sys.h"

namespace overlayd {
namespace {

using Gravity = Finding::Gravity;

/// Keeps what a repair has to say.
class Sentences final : public Observer {
 public:
  explicit Sentences(std::vector<std::string>& to) : to_(to) {}
  void note(NoteLevel, const std::string& message) noexcept override { to_.push_back(message); }

 private:
  std::vector<std::string>& to_;
};

class Checker {
 public:
  Checker(const std::filesystem::path& home, const StoreCheckOptions& options)
      : options_(options), home_(open_store(home)) {}

  StoreReport run() {
    report_.served = is_store_served(home_.get());
    if (options_.repair) repair();
    look();
    std::vector<Finding> confirmed = std::move(findings_);
    for (int i = 1; i < kLooks && !confirmed.empty(); ++i) {
      std::this_thread::sleep_for(kBetweenLooks);
      look();
      std::erase_if(confirmed, [&](const Finding& finding) { return !is_still_there(finding); });
    }
    report_.findings = std::move(confirmed);
    report_.layers = survey_.layers.size();
    if (options_.content) compare_content();
    if (options_.layer_database) find_orphans();
    return std::move(report_);
  }

 private:
  void repair() {
    sys::mkdirat(home_.get(), layout::kLinkDirectory, 0700);
    // Where Docker's own driver is at home it goes again.
    const bool is_new = sys::mkdirat(home_.get(), layout::kOwnDirectory, 0700);
    const UniqueFd lock = lock_store(home_.get());
    Sentences sentences(report_.repaired);
    mend_store(home_.get(), survey_store(home_.get()), sentences);
    for (const char* directory : {layout::kStagingDirectory, layout::kTrashDirectory}) {
      empty(directory);
    }
    if (is_new) sys::remove_tree(home_.get(), layout::kOwnDirectory);
  }

  void empty(const char* directory) {
    for (const std::string& name : names_in(home_.get(), directory)) {
      const std::string path = std::string(directory) + "/" + name;
      try {
        release_project(home_.get(), path);
        sys::remove_tree(home_.get(), path);
        report_.repaired.push_back("removed " + path);
      } catch (const Error& error) {
        report_.repaired.push_back("cannot remove " + path + ": " + error.what());
      }
    }
  }

  bool is_still_there(const Finding& finding) const {
    return std::any_of(findings_.begin(), findings_.end(),
                       [&](const Finding& other) { return other.same_as(finding); });
  }

  void look() {
    survey_ = survey_store(home_.get());
    findings_ = std::move(survey_.findings);
    look_at_mounts();
    look_at_layers();
    look_at_leftovers();
  }

  // Of each layer's mount point, how many mounts are on it.
  void look_at_mounts() {
    std::set<std::string> ids;
    for (const SurveyedLayer& layer : survey_.layers) ids.insert(layer.id.str());
    mounted_.clear();
    for (const StoreMount& mount : mounts_in_store(home_.get())) {
      if (ids.contains(mount.layer)) {
        ++mounted_[mount.layer];
      } else {
        leftover({}, mount.below, "a mount that is no layer's");
      }
    }
    judge_mounts();
  }

  void judge_mounts() {
    // What was never overlayd's is Docker's own driver's, which cannot be seen at work.
    const bool is_ours = sys::try_fstatat(home_.get(), layout::kOwnDirectory).has_value();
    for (const auto& [id, count] : mounted_) {
      const std::string merged = id + "/" + layout::kMerged;
      if (count > 1) leftover(id, merged, "mounted " + std::to_string(count) + " times");
      if (is_ours && !report_.served) {
        leftover(id, merged, "mounted, though no process serves the store");
      }
    }
  }

  void look_at_layers() {
    for (const SurveyedLayer& layer : survey_.layers) {
      const std::string& id = layer.id.str();
      if (layer.record.partial) {
        leftover(id, layout::in_layer(layer.id, layout::kPartial),
                 "an ApplyDiff did not finish, or is under way");
      }
      const std::string merged = layout::in_layer(layer.id, layout::kMerged);
      if (layer.merged && !mounted_.contains(id) && !names_in(home_.get(), merged).empty()) {
        leftover(id, merged, "holds files, though nothing is mounted there");
      }
    }
  }

  void look_at_leftovers() {
    for (const std::string& name : names_in(home_.get(), layout::kStagingDirectory)) {
      leftover({}, std::string(layout::kStagingDirectory) + "/" + name,
               "a layer that was never finished");
    }
    for (const std::string& name : names_in(home_.get(), layout::kTrashDirectory)) {
      leftover({}, std::string(layout::kTrashDirectory) + "/" + name,
               "what is left of a removed layer");
    }
  }

  void leftover(const std::string& layer, const std::string& file, const std::string& what) {
    findings_.push_back({.gravity = Gravity::Leftover, .layer = layer, .file = file, .what = what});
  }

  void compare_content() {
    std::vector<LayerId> layers;
    for (const SurveyedLayer& layer : survey_.layers) {
      if (layer.record.has_digests) layers.push_back(layer.id);
    }
    ComparedContent compared;
    CheckProgress progress{.layers = layers.size()};
    for (const LayerId& id : layers) {
      tell(progress);
      const uint64_t before = progress.bytes;
      const auto report = check_content(home_.get(), id, [&](uint64_t bytes, uint64_t all) {
        progress.bytes = before + bytes;
        progress.layer_bytes = bytes;
        progress.layer_total = all;
        tell(progress);
      });
      if (report) add(id, *report, compared);
      ++progress.layers_done;
      progress.layer_bytes = progress.layer_total = 0;
    }
    tell(progress);
    compared.without_digests = survey_.layers.size() - compared.layers;
    report_.content = compared;
  }

  void tell(const CheckProgress& progress) const {
    if (options_.progress) options_.progress(progress);
  }

  void add(const LayerId& id, const ContentReport& report, ComparedContent& compared) {
    ++compared.layers;
    compared.files += report.files;
    compared.bytes += report.bytes;
    for (const ContentDifference& difference : report.differences) {
      damage(id, difference.path, difference.what);
    }
    if (report.more > 0) {
      damage(id, layout::in_layer(id, layout::kDiff),
             std::to_string(report.more) + " more files are not as they were written");
    }
  }

  void damage(const LayerId& id, const std::string& file, const std::string& what) {
    report_.findings.push_back(
        {.gravity = Gravity::Damage, .layer = id.str(), .file = file, .what = what});
  }

  void find_orphans() {
    const EngineLayers engine(*options_.layer_database);
    const std::vector<bool> needed = needed_layers(survey_, engine);
    for (size_t i = 0; i < survey_.layers.size(); ++i) {
      const LayerId& id = survey_.layers[i].id;
      if (needed[i]) continue;
      report_.orphans.push_back({.id = id, .bytes = content_size(home_.get(), id).value_or(0)});
    }
  }

  const StoreCheckOptions& options_;
  UniqueFd home_;
  Survey survey_;                          // of the last look
  std::vector<Finding> findings_;          // of the last look
  std::map<std::string, size_t> mounted_;  // of the last look
  StoreReport report_;
};

}  // namespace

size_t StoreReport::count(Gravity gravity) const {
  return static_cast<size_t>(
      std::count_if(findings.begin(), findings.end(),
                    [&](const Finding& finding) { return finding.gravity == gravity; }));
}

StoreReport check_store(const std::filesystem::path& home, const StoreCheckOptions& options) {
  return with_context("check the store in " + quoted(home.native()),
                      [&] { return Checker(home, options).run(); });
}

}  // namespace overlayd
