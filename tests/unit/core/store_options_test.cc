// SPDX-License-Identifier: Apache-2.0
#include "core/store_options.h"

#include <doctest/doctest.h>

#include "core/error.h"
#include "core/layer_store.h"

namespace overlayd {
namespace {

template <typename Work>
std::string refusal(Work work) {
  try {
    work();
  } catch (const Error& error) {
    return std::string(to_string(error.kind())) + " " + error.what();
  }
  return "";
}

std::string refusal_of(const std::string& option) {
  return refusal([&] { parse_store_options({option}); });
}

CreateOptions writable(const std::string& key, const std::string& value) {
  return {.storage_options = {{key, value}}, .is_writable = true};
}

std::string refusal_of_create(const std::string& key, const std::string& value) {
  return refusal([&] { parse_create_options(writable(key, value), {}); });
}

QuotaLimits limits_of(const std::vector<std::string>& options) {
  return parse_store_options(options).limits;
}

QuotaLimits limits_of_create(const CreateOptions& options,
                             const std::vector<std::string>& store_options = {}) {
  return parse_create_options(options, parse_store_options(store_options));
}

TEST_SUITE("store_options") {
  TEST_CASE("no options are fine") {
    CHECK(refusal([] { parse_store_options({}); }) == "");
    CHECK(refusal([] { parse_create_options({}, {}); }) == "");
    CHECK(limits_of({}) == QuotaLimits{});
    CHECK(parse_store_options({}).projects == ProjectRange{2097152, 3145727});
  }

  TEST_CASE("the kernel check that Docker kept is accepted as Go spells booleans") {
    for (const char* value : {"1", "t", "T", "true", "True", "TRUE", "0", "f", "F", "false"}) {
      CAPTURE(value);
      CHECK(refusal_of(std::string("overlay2.override_kernel_check=") + value) == "");
    }
    CHECK(refusal_of(" Overlay2.Override_Kernel_Check = true ") == "");
    for (const char* value : {"", "yes", "2", "true false", "on"}) {
      CAPTURE(value);
      const std::string text = refusal_of(std::string("overlay2.override_kernel_check=") + value);
      CHECK(text.starts_with("invalid-argument"));
      CHECK(text.find("not true or false") != std::string::npos);
    }
  }

  TEST_CASE("a size is what Docker takes for one") {
    const std::pair<const char*, uint64_t> sizes[] = {
        {"0", 0},
        {"1", 1},
        {"512", 512},
        {"10b", 10},
        {"10ib", 10},
        {"1k", 1024},
        {"1K", 1024},
        {"1kb", 1024},
        {"1KiB", 1024},
        {"1 KiB", 1024},
        {"50M", 52428800},
        {"1.5g", 1610612736},
        {"10G", 10737418240},
        {"10GB", 10737418240},
        {"0.5t", 549755813888},
        {"2P", 2251799813685248},
        {" 10g ", 10737418240},
        {"9007199254740993", 9007199254740993},
        {"8191p", 9222246136947933184},
        {"0.3", 1},  // never no limit at all
    };
    for (const auto& [text, bytes] : sizes) {
      CAPTURE(text);
      CHECK(parse_size(text) == bytes);
    }
  }

  TEST_CASE("what is no size is refused") {
    for (const char* text :
         {"",  " ",  "G",   "-1",   "+1",   "-1G",   "1x",  "1GG", "1 0", "10  G", "1.2.3",
          ".", ".5", "1e3", "0x10", "1,5G", "10G/s", "inf", "nan", "1e",  "10bi",  "10G\n5"}) {
      CAPTURE(text);
      CHECK(refusal([&] { parse_size(text); }).find("is not a size, such as 10G or 512m") !=
            std::string::npos);
    }
    for (const char* text : {"8192p", "9223372036854775808", "99999999999999999999999", "1e999p"}) {
      CAPTURE(text);
      CHECK(refusal([&] { parse_size(text); }).starts_with("invalid-argument"));
    }
    CHECK(refusal([] { parse_size("8192p"); }).ends_with("is more than any disk holds"));
  }

  TEST_CASE("the store's limits have overlayd's names and Docker's") {
    CHECK(limits_of({"overlayd.size=10G"}) == QuotaLimits{.bytes = 10737418240});
    CHECK(limits_of({"overlay2.size=10G"}) == QuotaLimits{.bytes = 10737418240});
    CHECK(limits_of({" OVERLAY2.SIZE = 1k "}) == QuotaLimits{.bytes = 1024});
    CHECK(limits_of({"overlayd.inodes=1000"}) == QuotaLimits{.inodes = 1000});
    CHECK(limits_of({"overlay2.size=1k", "overlayd.size=2k"}) == QuotaLimits{.bytes = 2048});
    CHECK(limits_of({"overlayd.size=2k", "overlayd.inodes=7", "overlay2.size=1k"}) ==
          QuotaLimits{.bytes = 1024, .inodes = 7});
    CHECK(limits_of({"overlayd.size=0"}) == QuotaLimits{});
    for (const char* option : {"overlay2.size=", "overlay2.size=a=b", "overlayd.size=big"}) {
      CAPTURE(option);
      CHECK(refusal_of(option).starts_with(std::string("invalid-argument option '") + option));
    }
    for (const char* option : {"overlayd.inodes=", "overlayd.inodes=-1", "overlayd.inodes=1k",
                               "overlayd.inodes=18446744073709551616"}) {
      CAPTURE(option);
      CHECK(refusal_of(option).ends_with("is not a number of files"));
    }
    CHECK(refusal_of("overlay2.inodes=1") ==
          "invalid-argument option 'overlay2.inodes' is unknown");
  }

  TEST_CASE("project ids are a range without 0") {
    const auto range = [](const std::string& text) {
      return parse_store_options({"overlayd.project_ids=" + text}).projects;
    };
    CHECK(range("1-1") == ProjectRange{1, 1});
    CHECK(range("5000-5999") == ProjectRange{5000, 5999});
    CHECK(range("1-4294967294") == ProjectRange{1, 4294967294});
    for (const char* text : {"", "-", "5", "5-", "-5", "0-5", "6-5", "1-4294967295", "1-2-3",
                             "1 - 2", "a-b", "1-99999999999"}) {
      CAPTURE(text);
      CHECK(refusal([&] { range(text); }).find("is not FIRST-LAST") != std::string::npos);
    }
  }

  TEST_CASE("unknown keys and text that is no option are named") {
    CHECK(refusal_of("dm.basesize=1") == "invalid-argument option 'dm.basesize' is unknown");
    CHECK(refusal_of("=x") == "invalid-argument option '' is unknown");
    CHECK(refusal_of("size=1") == "invalid-argument option 'size' is unknown");
    CHECK(refusal_of("overlay2.size") ==
          "invalid-argument option 'overlay2.size' is not of the form key=value");
    CHECK(refusal_of("") == "invalid-argument option '' is not of the form key=value");
  }

  TEST_CASE("one bad option among good ones is enough") {
    CHECK(refusal([] {
            parse_store_options({"overlay2.override_kernel_check=1", "bad=1"});
          }) == "invalid-argument option 'bad' is unknown");
  }

  TEST_CASE("a container's own limits go before the store's") {
    const std::vector<std::string> store{"overlay2.size=10G", "overlayd.inodes=1000"};
    CHECK(limits_of_create(writable("size", "1G")) == QuotaLimits{.bytes = 1073741824});
    CHECK(limits_of_create(writable("Size", "1G")) == QuotaLimits{.bytes = 1073741824});
    CHECK(limits_of_create(writable("inodes", "50")) == QuotaLimits{.inodes = 50});
    CHECK(limits_of_create({.is_writable = true}, store) ==
          QuotaLimits{.bytes = 10737418240, .inodes = 1000});
    CHECK(limits_of_create(writable("size", "1k"), store) ==
          QuotaLimits{.bytes = 1024, .inodes = 1000});
    CHECK(limits_of_create(writable("size", "0"), store) == QuotaLimits{.inodes = 1000});
    CHECK(limits_of_create({.storage_options = {{"inodes", "5"}, {"size", "1k"}},
                            .is_writable = true}) == QuotaLimits{.bytes = 1024, .inodes = 5});
  }

  TEST_CASE("layers of images have no limits, and none can be asked for") {
    CHECK(limits_of_create({}, {"overlayd.size=10G"}) == QuotaLimits{});
    CHECK(refusal([] {
            parse_create_options({.storage_options = {{"size", "1G"}}}, {});
          }) ==
          "invalid-argument storage option 'size=1G': only a container's layer can be limited");
  }

  TEST_CASE("a layer's options that are wrong or unknown are named") {
    CHECK(refusal_of_create("size", "ten") ==
          "invalid-argument storage option 'size=ten': 'ten' is not a size, such as 10G or 512m");
    CHECK(refusal_of_create("inodes", "1G") ==
          "invalid-argument storage option 'inodes=1G': '1g' is not a number of files");
    CHECK(refusal_of_create("colour", "red") ==
          "invalid-argument storage option 'colour' is unknown");
    CHECK(refusal_of_create("", "").starts_with("invalid-argument"));
  }
}

}  // namespace
}  // namespace overlayd
