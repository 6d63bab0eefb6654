// SPDX-License-Identifier: Apache-2.0
#include "plugin/check_command.h"

#include <exception>
#include <optional>
#include <ostream>
#include <string>

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/store_check.h"
#include "plugin/progress_bar.h"

namespace overlayd {
namespace {

using Gravity = Finding::Gravity;
using Json = nlohmann::ordered_json;

const char* word_for(Gravity gravity) { return gravity == Gravity::Damage ? "damage" : "leftover"; }

void print_text(const StoreReport& report, std::ostream& out) {
  for (const std::string& sentence : report.repaired) out << "repair: " << sentence << '\n';
  for (const Finding& finding : report.findings) {
    out << word_for(finding.gravity) << ": " << quoted(finding.file) << ": " << finding.what
        << (finding.repair ? " (can be repaired)" : "") << '\n';
  }
  for (const Orphan& orphan : report.orphans) {
    out << "orphan: " << quoted(orphan.id.str()) << ": " << orphan.bytes << " bytes\n";
  }
  if (report.content) {
    const ComparedContent& content = *report.content;
    out << "compared " << content.files << " files of " << content.bytes << " bytes in "
        << content.layers << " layers; " << content.without_digests
        << " layers have no digests: written to, or made by another driver\n";
  }
  out << report.layers << " layers, " << report.count(Gravity::Damage) << " damages, "
      << report.count(Gravity::Leftover) << " leftovers, " << report.orphans.size() << " orphans"
      << (report.served ? "; the store is being served" : "") << '\n';
}

void print_json(const StoreReport& report, std::ostream& out) {
  Json findings = Json::array(), orphans = Json::array();
  for (const Finding& finding : report.findings) {
    findings.push_back({{"kind", word_for(finding.gravity)},
                        {"layer", finding.layer},
                        {"file", finding.file},
                        {"what", finding.what},
                        {"repairable", finding.repair.has_value()}});
  }
  for (const Orphan& orphan : report.orphans) {
    orphans.push_back({{"layer", orphan.id.str()}, {"bytes", orphan.bytes}});
  }
  Json all = {{"served", report.served},
              {"layers", report.layers},
              {"repairs", report.repaired},
              {"findings", std::move(findings)},
              {"orphans", std::move(orphans)}};
  if (report.content) {
    all["content"] = {{"layers", report.content->layers},
                      {"files", report.content->files},
                      {"bytes", report.content->bytes},
                      {"without_digests", report.content->without_digests}};
  }
  out << all.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
}

}  // namespace

int run_check(const CheckOptions& options, std::ostream& out, std::ostream& err,
              bool show_progress) {
  try {
    StoreCheckOptions store = options.store;
    std::optional<ProgressBar> bar;
    if (show_progress && !options.json && store.content) {
      bar.emplace(err);
      store.progress = [&](const CheckProgress& progress) { bar->show(progress); };
    }
    const StoreReport report = check_store(options.home, store);
    bar.reset();
    (options.json ? print_json : print_text)(report, out);
    return report.count(Gravity::Damage) == 0 ? 0 : 1;
  } catch (const std::exception& error) {
    err << "overlayd: " << error.what() << '\n';
    return 2;
  }
}

}  // namespace overlayd
