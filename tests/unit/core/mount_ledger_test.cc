// SPDX-License-Identifier: Apache-2.0
#include "core/mount_ledger.h"

#include <sys/stat.h>

#include <limits>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "core/error.h"
#include "core/sys.h"
#include "tests/support/temp_dir.h"

namespace overlayd {
namespace {

using test::TempDir;
using Counts = std::map<LayerId, unsigned>;

LayerId id_of(const std::string& name) { return LayerId::parse(name); }

TEST_SUITE("mount_ledger") {
  TEST_CASE("what is recorded is loaded, by another ledger as well") {
    const TempDir state;
    const MountLedger ledger(state.path());
    CHECK(ledger.load().empty());
    MountLedger writer(state.path());
    writer.record(id_of("a"), 1);
    writer.record(id_of("b"), 0);
    writer.record(id_of("c d"), std::numeric_limits<unsigned>::max());
    const Counts wanted{
        {id_of("a"), 1}, {id_of("b"), 0}, {id_of("c d"), std::numeric_limits<unsigned>::max()}};
    CHECK(ledger.load() == wanted);
    CHECK(MountLedger(state.path()).load() == wanted);
  }

  TEST_CASE("a record is overwritten in place, longer or shorter") {
    const TempDir state;
    MountLedger ledger(state.path());
    for (const unsigned holders : {7U, 1234567890U, 3U}) {
      ledger.record(id_of("a"), holders);
      CHECK(ledger.load() == Counts{{id_of("a"), holders}});
      CHECK(state.read("mounts/a").size() == 11);
    }
    CHECK(state.read("mounts/a") == "0000000003\n");
  }

  TEST_CASE("what is forgotten is gone, and may be forgotten twice") {
    const TempDir state;
    MountLedger ledger(state.path());
    ledger.record(id_of("a"), 1);
    ledger.record(id_of("b"), 2);
    ledger.forget(id_of("a"));
    ledger.forget(id_of("a"));
    ledger.forget(id_of("never"));
    CHECK(ledger.load() == Counts{{id_of("b"), 2}});
  }

  TEST_CASE("a record cut short at any byte counts as one holder") {
    const TempDir state;
    MountLedger ledger(state.path());
    const std::string whole = "0000000042\n";
    for (size_t length = 0; length < whole.size(); ++length) {
      CAPTURE(length);
      state.write("mounts/a", whole.substr(0, length));
      CHECK(ledger.load() == Counts{{id_of("a"), 1}});
    }
    state.write("mounts/a", whole);
    CHECK(ledger.load() == Counts{{id_of("a"), 42}});
  }

  TEST_CASE("numbers that are none count as one holder") {
    const TempDir state;
    MountLedger ledger(state.path());
    for (const char* text : {"-000000001\n", "xxxxxxxxxx\n", "9999999999\n", "          1"}) {
      CAPTURE(text);
      state.write("mounts/a", text);
      CHECK(ledger.load() == Counts{{id_of("a"), 1}});
    }
  }

  TEST_CASE("what the ledger did not write is passed over") {
    const TempDir state;
    MountLedger ledger(state.path());
    ledger.record(id_of("a"), 2);
    state.write("mounts/.hidden", "0000000001\n");
    state.write("mounts/l", "0000000001\n");
    state.write("mounts/long", std::string(1000, '1'));
    sys::mkdirat(state.fd(), "mounts/directory", 0700);
    sys::symlinkat("a", state.fd(), "mounts/symlink");
    CHECK(ledger.load() == Counts{{id_of("a"), 2}});
  }

  TEST_CASE("the directory is private, and a missing state directory is an error") {
    const TempDir state;
    const MountLedger ledger(state.path());
    CHECK((sys::fstatat(state.fd(), "mounts").st_mode & 07777) == 0700);
    CHECK_THROWS_AS(MountLedger(state.path() + "/absent"), SysError);
  }

  TEST_CASE("a record that cannot be written says whose") {
    const TempDir state;
    MountLedger ledger(state.path());
    sys::mkdirat(state.fd(), "mounts/a", 0700);
    CHECK_THROWS_WITH_AS(ledger.record(id_of("a"), 1),
                         "record the mounts of layer 'a': open 'a': Is a directory", SysError);
  }

  TEST_CASE("different layers may be recorded at once") {
    const TempDir state;
    MountLedger ledger(state.path());
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < 4; ++i) {
      threads.emplace_back([&ledger, i] {
        for (unsigned n = 0; n <= 100; ++n) ledger.record(id_of("layer" + std::to_string(i)), n);
      });
    }
    threads.clear();
    Counts wanted;
    for (unsigned i = 0; i < 4; ++i) wanted.emplace(id_of("layer" + std::to_string(i)), 100);
    CHECK(ledger.load() == wanted);
  }
}

}  // namespace
}  // namespace overlayd
