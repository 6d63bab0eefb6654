// SPDX-License-Identifier: Apache-2.0
#include "core/whiteout.h"

#include <sys/sysmacros.h>

#include <doctest/doctest.h>

namespace overlayd::whiteout {
namespace {

TEST_SUITE("whiteout") {
  TEST_CASE("a tar name is read as what it marks") {
    struct {
      const char* component;
      MarkerKind kind;
      const char* name;
    } const cases[] = {
        {"file", MarkerKind::None, ""},
        {"", MarkerKind::None, ""},
        {".wh", MarkerKind::None, ""},
        {"wh.file", MarkerKind::None, ""},
        {".WH.file", MarkerKind::None, ""},
        {"a.wh.file", MarkerKind::None, ""},
        {".wh.file", MarkerKind::Deleted, "file"},
        {".wh.a b", MarkerKind::Deleted, "a b"},
        {".wh..hidden", MarkerKind::Deleted, ".hidden"},
        {".wh....", MarkerKind::Deleted, "..."},
        {".wh.wh.x", MarkerKind::Deleted, "wh.x"},
        {".wh..wh", MarkerKind::Deleted, ".wh"},
        {".wh.\xff", MarkerKind::Deleted, "\xff"},
        {".wh..wh..opq", MarkerKind::Opaque, ""},
        {".wh..wh.", MarkerKind::AufsOwn, ""},
        {".wh..wh.plnk", MarkerKind::AufsOwn, ""},
        {".wh..wh.orph", MarkerKind::AufsOwn, ""},
        {".wh..wh..opqx", MarkerKind::AufsOwn, ""},
        {".wh..wh..op", MarkerKind::AufsOwn, ""},
        {".wh.", MarkerKind::Malformed, ""},
        {".wh..", MarkerKind::Malformed, ""},
        {".wh...", MarkerKind::Malformed, ""},
    };
    for (const auto& [component, kind, name] : cases) {
      CAPTURE(component);
      const Marker marker = parse_marker(component);
      CHECK(marker.kind == kind);
      CHECK(marker.name == name);
    }
  }

  TEST_CASE("a marker is read back as the name it was made for") {
    for (const char* name : {"file", ".hidden", "...", "a.wh.b", "\xff\xfe", "with space"}) {
      CAPTURE(name);
      const std::string component = marker_for(name);
      CHECK(component == std::string(".wh.") + name);
      const Marker marker = parse_marker(component);
      CHECK(marker.kind == MarkerKind::Deleted);
      CHECK(marker.name == name);
    }
  }

  TEST_CASE("only the character device 0:0 is a whiteout on disk") {
    struct {
      mode_t mode;
      dev_t device;
      bool is;
    } const cases[] = {
        {S_IFCHR, makedev(0, 0), true},         {S_IFCHR | 0644, makedev(0, 0), true},
        {S_IFCHR, makedev(0, 1), false},        {S_IFCHR, makedev(1, 0), false},
        {S_IFCHR | 0666, makedev(1, 3), false}, {S_IFBLK, makedev(0, 0), false},
        {S_IFREG, makedev(0, 0), false},        {S_IFDIR, makedev(0, 0), false},
        {S_IFIFO, makedev(0, 0), false},        {S_IFLNK, makedev(0, 0), false},
    };
    for (const auto& [mode, device, is] : cases) {
      CAPTURE(mode);
      CAPTURE(device);
      struct stat info {};
      info.st_mode = mode;
      info.st_rdev = device;
      CHECK(is_whiteout(info) == is);
    }
  }
}

}  // namespace
}  // namespace overlayd::whiteout
