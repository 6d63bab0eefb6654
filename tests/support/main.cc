// SPDX-License-Identifier: Apache-2.0
//
// The main of every test executable: doctest's, and
//   * the first line (on stderr) tells what the machine lets tests do;
//   * --require=root,overlayfs: without one of these the run exits with 77, which CTest counts as
//     skipped (SKIP_RETURN_CODE 77), and says why; it fails instead where
//     TEST_REQUIRE=root,overlayfs in the environment promises that they are there;
//   * a filter that matches no test case is a failure, where doctest would pass.
#define DOCTEST_CONFIG_IMPLEMENT
#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include "tests/support/facilities.h"

namespace {

unsigned cases_run = 0;

// doctest tells the number only to reporters.
struct CaseCounter : doctest::IReporter {
  explicit CaseCounter(const doctest::ContextOptions&) {}
  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_run_end(const doctest::TestRunStats& stats) override {
    cases_run = stats.numTestCasesPassingFilters;
  }
  void test_case_start(const doctest::TestCaseData&) override {}
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_end(const doctest::CurrentTestCaseStats&) override {}
  void test_case_exception(const doctest::TestCaseException&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData&) override {}
  void log_message(const doctest::MessageData&) override {}
  void test_case_skipped(const doctest::TestCaseData&) override {}
};
REGISTER_LISTENER("case_counter", 1, CaseCounter);

constexpr int kSkipped = 77;

// 0 when all of `required` is there.
int check_requirements(const std::string& required) {
  const auto missing = overlayd::test::missing_facilities(required);
  if (missing.empty()) return 0;
  const char* promised = std::getenv("TEST_REQUIRE");
  const std::string promises = promised == nullptr ? "" : "," + std::string(promised) + ",";
  int result = kSkipped;
  for (const std::string& name : missing) {
    const bool fails = promises.find("," + name + ",") != std::string::npos;
    if (fails) result = EXIT_FAILURE;
    std::fprintf(stderr, "%s: these tests need %s\n", fails ? "failed" : "skipped", name.c_str());
  }
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  constexpr std::string_view kRequire = "--require=";
  std::string required;
  bool listing = false;  // CTest reads the list from stdout while building
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument.starts_with(kRequire)) required = argument.substr(kRequire.size());
    listing |= argument.find("list-") != argument.npos;
  }
  if (!listing) {
    const auto& there = overlayd::test::facilities();
    std::fprintf(stderr, "facilities: root %s, overlayfs %s\n", there.root ? "yes" : "no",
                 there.overlayfs ? "yes" : "no");
    if (const int result = check_requirements(required); result != 0) return result;
  }
  ::umask(0);  // as overlayd has it
  doctest::Context context(argc, argv);
  const int result = context.run();
  if (context.shouldExit()) return result;
  if (cases_run == 0) {
    std::fprintf(stderr, "failed: no test case matches\n");
    return EXIT_FAILURE;
  }
  return result;
}
