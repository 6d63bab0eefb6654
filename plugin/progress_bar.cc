// SPDX-License-Identifier: Apache-2.0
#include "plugin/progress_bar.h"

#include <algorithm>
#include <ostream>

namespace overlayd {
namespace {

constexpr size_t kWidth = 24;
constexpr uint64_t kMegabyte = 1'000'000;
const std::string kClearLine = "\r\x1b[K";

// Layers count alike, whatever is in them: nobody knows the size of those to come.
size_t filled_part(const CheckProgress& progress) {
  if (progress.layers == 0) return kWidth;
  double done = static_cast<double>(progress.layers_done);
  if (progress.layer_total > 0) {
    done += static_cast<double>(progress.layer_bytes) / static_cast<double>(progress.layer_total);
  }
  const double share = done / static_cast<double>(progress.layers);
  return std::min(kWidth, static_cast<size_t>(share * kWidth));
}

std::string line_for(const CheckProgress& progress) {
  const size_t filled = filled_part(progress);
  return "[" + std::string(filled, '#') + std::string(kWidth - filled, '.') + "] " +
         std::to_string(progress.layers_done) + " of " + std::to_string(progress.layers) +
         " layers, " + std::to_string(progress.bytes / kMegabyte) + " MB";
}

}  // namespace

ProgressBar::~ProgressBar() {
  if (!shown_.empty()) terminal_ << kClearLine << std::flush;
}

void ProgressBar::show(const CheckProgress& progress) {
  std::string line = line_for(progress);
  if (line == shown_) return;
  terminal_ << kClearLine + line << std::flush;
  shown_ = std::move(line);
}

}  // namespace overlayd
