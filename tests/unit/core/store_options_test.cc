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

std::string refusal_of_create(const std::string& key, const std::string& value) {
  return refusal([&] { check_create_options({.storage_options = {{key, value}}}); });
}

TEST_SUITE("store_options") {
  TEST_CASE("no options are fine") {
    CHECK(refusal([] { parse_store_options({}); }) == "");
    CHECK(refusal([] { check_create_options({}); }) == "");
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

  TEST_CASE("quotas are told apart from what nobody knows") {
    for (const char* option : {"overlay2.size=10G", "overlayd.size=10G",
                               "overlay2.size=", " OVERLAY2.SIZE =1", "overlay2.size=a=b"}) {
      CAPTURE(option);
      CHECK(refusal_of(option).starts_with("unsupported"));
      CHECK(refusal_of(option).find("no quotas yet") != std::string::npos);
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

  TEST_CASE("a layer's size is unsupported, other options of it unknown") {
    CHECK(refusal_of_create("size", "10G").starts_with("unsupported option 'size=10G'"));
    CHECK(refusal_of_create("Size", "10G").starts_with("unsupported"));
    CHECK(refusal_of_create("colour", "red") ==
          "invalid-argument storage option 'colour' is unknown");
    CHECK(refusal_of_create("", "").starts_with("invalid-argument"));
  }
}

}  // namespace
}  // namespace overlayd
