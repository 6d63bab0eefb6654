// SPDX-License-Identifier: Apache-2.0
#include "plugin/driver.h"

#include <filesystem>
#include <fstream>
#include <latch>
#include <string>
#include <thread>

#include <doctest/doctest.h>

#include "core/sys.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/plugin/fake_store.h"

namespace overlayd {
namespace {

// A machine on which processes come and go.
struct Machine {
  test::TempDir scratch;
  test::FakeWorld world;
  Log log{LogLevel::Off};

  InitRequest home(const std::string& name, std::vector<std::string> options = {}) const {
    std::filesystem::create_directories(scratch / name);
    return {.home = scratch / name, .options = std::move(options), .id_maps = {}};
  }
};

struct Process {
  explicit Process(Machine& machine)
      : state(machine.scratch / "state"),
        driver(
            state, MountMethod::Classic, Durability::Syncfs,
            [&machine](StoreConfig config, Observer&) {
              return machine.world.open(std::move(config));
            },
            metrics, machine.log) {
    driver.resume();
  }

  StateDir state;
  Metrics metrics;
  Driver driver;
};

LayerRequest layer(const char* id) { return {LayerId::parse(id)}; }
DiffRequest whole(const char* id) { return {LayerId::parse(id), std::nullopt}; }

template <typename Work>
std::string error_of(Work&& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

bool mentions(const std::string& text, const std::string& word) {
  return text.find(word) != std::string::npos;
}

TEST_SUITE("driver") {
  TEST_CASE("before an Init only calls that need no store succeed") {
    Machine machine;
    Process process(machine);
    CHECK_NOTHROW(process.driver.capabilities());
    CHECK_NOTHROW(process.driver.cleanup());
    CHECK(process.driver.status().rows.size() == 2);
    CHECK(mentions(error_of([&] { process.driver.put(layer("a")); }), "not initialised"));
    CHECK(mentions(error_of([&] { process.driver.exists(layer("a")); }), "not initialised"));
    CHECK(mentions(error_of([&] { process.driver.diff(whole("a")); }), "not initialised"));
  }

  TEST_CASE("an Init opens the store with what it says") {
    Machine machine;
    Process process(machine);
    process.driver.init(machine.home("home", {"a=b"}));
    REQUIRE(machine.world.opened.size() == 1);
    const StoreConfig& config = machine.world.opened.front();
    CHECK(config.home == machine.scratch / "home");
    CHECK(config.state_dir == machine.scratch / "state");
    CHECK(config.options == std::vector<std::string>{"a=b"});
    CHECK(config.mount_method == MountMethod::Classic);
    CHECK(config.durability == Durability::Syncfs);
  }

  TEST_CASE("only CreateReadWrite makes layers that can be limited") {
    Machine machine;
    Process process(machine);
    process.driver.init(machine.home("home"));
    const CreateRequest request{.id = LayerId::parse("a"),
                                .parent = {},
                                .mount_label = "",
                                .storage_options = {{"size", "1G"}}};
    process.driver.create(request);
    process.driver.create_read_write(request);
    CHECK(machine.world.calls() ==
          std::vector<std::string>{"create a on nothing size=1G",
                                   "create writable a on nothing size=1G"});
  }

  TEST_CASE("the same Init again changes nothing, however busy the store") {
    Machine machine;
    Process process(machine);
    process.driver.init(machine.home("home"));
    machine.world.idle = false;
    process.driver.init(machine.home("home"));
    CHECK(machine.world.opened.size() == 1);
  }

  TEST_CASE("an Init with another home is refused while layers are in use") {
    Machine machine;
    Process process(machine);
    process.driver.init(machine.home("home"));
    machine.world.idle = false;
    const std::string error = error_of([&] { process.driver.init(machine.home("other")); });
    CHECK(mentions(error, machine.scratch / "home"));
    CHECK(mentions(error, machine.scratch / "other"));
    CHECK(process.driver.get({LayerId::parse("a"), ""}).dir == machine.scratch / "home/a/merged");
  }

  TEST_CASE("an Init with another home replaces an idle store and is remembered") {
    Machine machine;
    {
      Process process(machine);
      process.driver.init(machine.home("home"));
      process.driver.init(machine.home("other"));
      CHECK(machine.world.open_now == 1);
    }
    Process next(machine);
    CHECK(next.driver.get({LayerId::parse("a"), ""}).dir == machine.scratch / "other/a/merged");
  }

  TEST_CASE("other options count as another configuration") {
    Machine machine;
    Process process(machine);
    process.driver.init(machine.home("home"));
    process.driver.init(machine.home("home", {"a=b"}));
    CHECK(machine.world.opened.size() == 2);
    CHECK(machine.world.open_now == 1);
  }

  TEST_CASE("when the new home cannot be opened the old one is served and remembered") {
    Machine machine;
    machine.world.unopenable = machine.scratch / "broken";
    {
      Process process(machine);
      process.driver.init(machine.home("home"));
      CHECK(error_of([&] { process.driver.init(machine.home("broken")); }) ==
            "this home cannot be opened");
      CHECK(process.driver.get({LayerId::parse("a"), ""}).dir == machine.scratch / "home/a/merged");
    }
    Process next(machine);
    CHECK(next.driver.get({LayerId::parse("a"), ""}).dir == machine.scratch / "home/a/merged");
  }

  TEST_CASE("a failed first Init leaves the driver uninitialised") {
    Machine machine;
    machine.world.unopenable = machine.scratch / "broken";
    Process process(machine);
    CHECK_THROWS_AS(process.driver.init(machine.home("broken")), Error);
    CHECK(mentions(error_of([&] { process.driver.put(layer("a")); }), "not initialised"));
    CHECK_FALSE(process.state.read_init().has_value());
  }

  TEST_CASE("a home that is being moved between drivers is not served") {
    Machine machine;
    Process(machine).driver.init(machine.home("home"));
    machine.scratch.write("overlayd-move.json", "");
    Process process(machine);
    CHECK(mentions(error_of([&] { process.driver.put(layer("a")); }), "was interrupted"));
    CHECK(mentions(error_of([&] { process.driver.init(machine.home("home")); }),
                   "run `overlayd adopt` or `overlayd release` again"));
    CHECK(machine.world.opened.size() == 1);
    sys::unlinkat(machine.scratch.fd(), "overlayd-move.json", 0);
    process.driver.init(machine.home("home"));
    CHECK(machine.world.opened.size() == 2);
  }

  TEST_CASE("a new process serves the last home without an Init") {
    Machine machine;
    const InitRequest request = machine.home("home", {"a=b"});
    { Process(machine).driver.init(request); }
    Process next(machine);
    CHECK_NOTHROW(next.driver.put(layer("a")));
    CHECK(machine.world.opened.back().options == request.options);
    next.driver.init(request);
    CHECK(machine.world.opened.size() == 2);
  }

  TEST_CASE("an Init can be repeated without its content to a process that resumed it") {
    Machine machine;
    {
      Process process(machine);
      CHECK(mentions(error_of([&] { process.driver.repeat_init(); }), "empty"));
      process.driver.init(machine.home("home"));
      CHECK(mentions(error_of([&] { process.driver.repeat_init(); }), "empty"));
    }
    Process next(machine);
    CHECK_NOTHROW(next.driver.repeat_init());
    CHECK(machine.world.opened.size() == 2);
    next.driver.init(machine.home("other"));
    CHECK(mentions(error_of([&] { next.driver.repeat_init(); }), "empty"));
  }

  TEST_CASE("resuming does not make a home that is gone, and says so until the next Init") {
    Machine machine;
    { Process(machine).driver.init(machine.home("home")); }
    std::filesystem::remove(machine.scratch / "home");
    Process next(machine);
    CHECK_FALSE(std::filesystem::exists(machine.scratch / "home"));
    const std::string error = error_of([&] { next.driver.put(layer("a")); });
    CHECK(mentions(error, "not initialised"));
    CHECK(mentions(error, "is not there any more"));
    next.driver.init(machine.home("home"));
    CHECK_NOTHROW(next.driver.put(layer("a")));
  }

  TEST_CASE("a damaged record of the last Init is reported, not fatal") {
    Machine machine;
    std::filesystem::create_directories(machine.scratch / "state");
    std::ofstream(machine.scratch / "state/init.json") << "{\"Home\":";
    Process process(machine);
    CHECK(mentions(error_of([&] { process.driver.put(layer("a")); }), "read init.json"));
    CHECK_NOTHROW(process.driver.init(machine.home("home")));
  }

  TEST_CASE("an Init waits for calls under way before it changes the store") {
    Machine machine;
    Process process(machine);
    process.driver.init(machine.home("home"));
    std::latch inside(1);
    std::latch go_on(1);
    machine.world.on_get = [&] {
      inside.count_down();
      go_on.wait();
      CHECK(machine.world.opened.size() == 1);
    };
    std::thread call([&] { process.driver.get({LayerId::parse("a"), ""}); });
    inside.wait();
    std::thread exchange([&] { process.driver.init(machine.home("other")); });
    go_on.count_down();
    call.join();
    exchange.join();
    CHECK(machine.world.opened.size() == 2);
  }

  TEST_CASE("the store of a diff that is being sent is not replaced") {
    Machine machine;
    Process process(machine);
    process.driver.init(machine.home("home"));
    auto diff = process.driver.diff(whole("a"));
    CHECK(mentions(error_of([&] { process.driver.init(machine.home("other")); }), "being sent"));
    diff.reset();
    CHECK_NOTHROW(process.driver.init(machine.home("other")));
  }
}

}  // namespace
}  // namespace overlayd
