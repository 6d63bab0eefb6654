// SPDX-License-Identifier: Apache-2.0
#include "plugin/inspect_command.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <ctime>
#include <sstream>
#include <string>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "plugin/inspection.h"
#include "tests/unit/core/handmade_home.h"

namespace overlayd::test {
namespace {

using Command = InspectOptions::Command;
using Json = nlohmann::json;

struct InspectedHome : Chain {
  InspectedHome() {
    dir.write("base/size", "1500\n");
    for (const char* id : {"base", "middle", "top", "other"}) make_young(id);
  }

  /// Its age is "0s", whenever it is looked at.
  void make_young(const std::string& id) const {
    const timespec later{.tv_sec = std::time(nullptr) + 3600, .tv_nsec = 0};
    const timespec times[] = {later, later};
    REQUIRE(::utimensat(dir.fd(), (id + "/link").c_str(), times, 0) == 0);
  }

  int run(InspectOptions options, const Terminal& terminal = {}) {
    out.str({});
    err.str({});
    options.home = dir.path();
    return run_inspect(options, out, err, terminal);
  }
  std::string text(const InspectOptions& options, const Terminal& terminal = {}) {
    CHECK(run(options, terminal) == 0);
    CHECK(err.str().empty());
    return out.str();
  }
  Json json(InspectOptions options) {
    options.json = true;
    return Json::parse(text(options));
  }

  std::ostringstream out, err;
};

TEST_SUITE("inspect_command") {
  TEST_CASE_FIXTURE(InspectedHome, "ls lists each layer behind its parent, or those asked for") {
    CHECK(text({.command = Command::List}) ==
          "LAYER   PARENT  KIND   STATE  DEPTH   SIZE  AGE  USED BY\n"
          "base    -       layer  ready      0  1.5kB   0s  -\n"
          "middle  base    layer  ready      1      -   0s  -\n"
          "top     middle  layer  ready      2      -   0s  -\n"
          "other   base    layer  ready      1      -   0s  -\n");
    directory("other/partial");
    CHECK(text({.command = Command::List, .unfinished = true}) ==
          "LAYER  PARENT  KIND   STATE       DEPTH  SIZE  AGE  USED BY\n"
          "other  base    layer  unfinished      1     -   0s  -\n");
    CHECK(json({.command = Command::List, .mounted = true}) == Json::array());
  }

  TEST_CASE_FIXTURE(InspectedHome, "tree draws branches, and chains without any straight down") {
    const std::string home = std::filesystem::canonical(dir.path()).string();
    layer("alone", 'E');
    CHECK(text({.command = Command::Tree}, {.utf8 = true}) == home +
                                                                  "\n"
                                                                  "├─ alone  -\n"
                                                                  "└─ base  1.5kB\n"
                                                                  "   ├─ middle  -\n"
                                                                  "   │  top  -\n"
                                                                  "   └─ other  -\n");
    CHECK(text({.command = Command::Tree}).find("   |- middle  -\n   |  top  -\n   `- other") !=
          std::string::npos);
    CHECK(text({.command = Command::Tree}, {.width = 10, .utf8 = true})
              .ends_with("└─ base  …\n   ├─ mid…\n   │  top…\n   └─ oth…\n"));
  }

  TEST_CASE_FIXTURE(InspectedHome, "a terminal shows as much of the ids as tells them apart") {
    const std::string common(20, 'a');
    layer(common + "1xyz", 'E', "A");
    layer(common + "2xyz", 'F', "A");
    layer("0123456789abcdef-init", 'G', "A");
    const auto ids = [&](const InspectOptions& options, const Terminal& terminal) {
      std::istringstream lines(text(options, terminal));
      std::string all;
      for (std::string id, rest; lines >> id && std::getline(lines, rest);) all += id + " ";
      return all;
    };
    CHECK(ids({.command = Command::List}, {.width = 200}) ==
          "LAYER base 0123456789abcdef-init " + common + "1 " + common + "2 middle top other ");
    sys::remove_tree(dir.fd(), common + "2xyz");
    CHECK(ids({.command = Command::List}, {.width = 200}) ==
          "LAYER base 0123456789ab-init aaaaaaaaaaaa middle top other ");
    const std::string full =
        "LAYER base 0123456789abcdef-init " + common + "1xyz middle top other ";
    CHECK(ids({.command = Command::List, .full = true}, {.width = 200}) == full);
    CHECK(ids({.command = Command::List}, {}) == full);
  }

  TEST_CASE_FIXTURE(InspectedHome, "show tells where a layer lies and how it would be mounted") {
    const Json top = json({.command = Command::Show, .layer = "to"});
    const std::string path = std::filesystem::canonical(dir.path()) / "top";
    CHECK(top["id"] == "top");
    CHECK(top["below"] == Json{"middle", "base"});
    CHECK(top["paths"]["diff"] == path + "/diff");
    CHECK(top["paths"]["work"] == path + "/work");
    CHECK(top["mount_command"].get<std::string>().find("upperdir=top/diff") != std::string::npos);
    CHECK(top["mounted_on"] == Json::array());
    const std::string shown = text({.command = Command::Show, .layer = "base"});
    CHECK(shown.find("\nread-only   yes") != std::string::npos);
    CHECK(shown.find("\nsize        1.5kB, as recorded\n") != std::string::npos);
    CHECK(shown.find("\nbelow       middle\n            other\n") != std::string::npos);
    CHECK(shown.find("\nmount with  cd /") != std::string::npos);
    directory("top/partial");
    CHECK(text({.command = Command::Show, .layer = "top"})
              .ends_with("mount with  nothing: its ApplyDiff has not finished\n"));
    CHECK(run({.command = Command::Show, .layer = "nobody"}) == 2);
    CHECK(err.str() == "overlayd: there is no layer 'nobody'\n");
  }

  TEST_CASE_FIXTURE(InspectedHome, "show tells a layer's limits and what it has of them") {
    CHECK(json({.command = Command::Show, .layer = "top"})["quota"].is_null());
    CHECK(text({.command = Command::Show, .layer = "top"}).find("\nquota       none\n") !=
          std::string::npos);
    Inspection found;
    found.store = view_store(dir.path());
    found.layer = 1;
    const auto shown = [&](const ProjectUsage& usage) {
      found.quota = LayerQuota{.project = 2097152, .usage = usage};
      std::ostringstream all;
      print_layer(found, all, {});
      const size_t start = all.str().find("\nquota       ") + 1;
      return all.str().substr(start, all.str().find('\n', start) - start);
    };
    CHECK(shown({.limits = {.bytes = 10485760}, .bytes = 1048576, .inodes = 12}) ==
          "quota       project 2097152: 1.0MB of 10MB, 12 inodes");
    CHECK(shown({.limits = {.inodes = 100}, .bytes = 4096, .inodes = 12}) ==
          "quota       project 2097152: 4.1kB, 12 of 100 inodes");
    std::ostringstream out_json;
    print_layer_json(found, out_json);
    CHECK(Json::parse(out_json.str())["quota"] == Json{{"project", 2097152},
                                                       {"bytes", 4096},
                                                       {"inodes", 12},
                                                       {"most_bytes", nullptr},
                                                       {"most_inodes", 100}});
  }

  TEST_CASE_FIXTURE(InspectedHome, "du counts what is its own, what is shared and all") {
    const Json usage = json({.command = Command::Usage});
    const Json& layers = usage["layers"];
    REQUIRE(layers.size() == 4);
    const auto bytes = [&](size_t layer, const char* what) {
      return layers[layer][what]["bytes"].get<uint64_t>();
    };
    CHECK(layers[2]["id"] == "top");
    CHECK(bytes(2, "shared") == bytes(0, "own") + bytes(1, "own"));
    CHECK(usage["total"]["inodes"].get<size_t>() > 4);
    const std::string shown = text({.command = Command::Usage});
    CHECK(shown.starts_with("LAYER  "));
    CHECK(shown.find("\n4 layers, ") != std::string::npos);
  }

  TEST_CASE_FIXTURE(InspectedHome, "status sums up, and its exit status tells of damage") {
    Json status = json({.command = Command::Status});
    CHECK(status["layers"] == 4);
    CHECK(status["served"] == false);
    CHECK(status["states"]["ready"] == 4);
    CHECK(status["damages"] == 0);
    CHECK(status["quotas"] == status["no_quotas"].is_null());
    CHECK(text({.command = Command::Status}).find("\nproblems    none\n") != std::string::npos);
    sys::remove_tree(dir.fd(), "top/diff");
    CHECK(run({.command = Command::Status}) == 1);
    CHECK(out.str().find("4: 3 ready, 0 mounted, 0 unfinished, 0 removed, 1 damaged\n") !=
          std::string::npos);
    CHECK(out.str().find("problems    1 damage, 0 leftovers; overlayd check") != std::string::npos);
  }

  TEST_CASE_FIXTURE(InspectedHome, "a hostile name is shown, and does nothing") {
    const std::string name = "a\x1b[2J\n\xff";
    layer(name, 'E', "A");
    make_young(name);
    CHECK(text({.command = Command::List}).find("a\\x1b[2J\\x0a\\xff") != std::string::npos);
    CHECK(text({.command = Command::Tree}).find('\x1b') == std::string::npos);
    CHECK(text({.command = Command::Show, .layer = name}).find('\x1b') == std::string::npos);
    CHECK(json({.command = Command::List}).size() == 5);
  }

  TEST_CASE_FIXTURE(InspectedHome, "orphans are known only with a layer database") {
    CHECK(run({.command = Command::List, .orphans = true}) == 2);
    CHECK(err.str().find("--layerdb") != std::string::npos);
    CHECK(run({.command = Command::List, .view = {.layer_database = dir / "absent"}}) == 2);
    CHECK(out.str().empty());
  }

  TEST_CASE("the layer database beside a home is found") {
    const TempDir root;
    for (const char* path : {"d", "d/l", "d/one", "d/one/diff", "image", "image/d",
                             "image/d/layerdb", "image/d/layerdb/sha256"}) {
      sys::mkdirat(root.fd(), path, 0755);
    }
    root.write("d/one/link", link('A'));
    sys::symlinkat("../one/diff", root.fd(), "d/" + layout::link_path(link('A')));
    std::ostringstream out, err;
    CHECK(
        run_inspect({.command = Command::List, .home = root / "d/.", .orphans = true, .json = true},
                    out, err, {}) == 0);
    CHECK(Json::parse(out.str())[0]["kind"] == "orphan");
  }
}

}  // namespace
}  // namespace overlayd::test
