// SPDX-License-Identifier: Apache-2.0
#include "core/error.h"

#include <cerrno>
#include <string>

#include <doctest/doctest.h>

namespace overlayd {
namespace {

TEST_SUITE("error") {
  TEST_CASE("an errno becomes the kind a caller can act on") {
    struct Case {
      int errnum;
      std::string kind;
    };
    for (const auto& [errnum, kind] :
         {Case{ENOENT, "not-found"}, Case{EEXIST, "already-exists"}, Case{EBUSY, "busy"},
          Case{ENOSPC, "no-space"}, Case{EDQUOT, "no-space"}, Case{ENOSYS, "unsupported"},
          Case{EOPNOTSUPP, "unsupported"}, Case{EIO, "internal"}, Case{EPERM, "internal"}}) {
      CAPTURE(errnum);
      const SysError error(errnum, "do it");
      CHECK(to_string(error.kind()) == kind);
      CHECK(error.errnum() == errnum);
    }
  }

  TEST_CASE("what there is too little of is told from what cannot be done") {
    for (const int errnum : {EAGAIN, EMFILE, ENFILE, ENOMEM, ENOSPC, EDQUOT}) {
      CHECK(tells_of_want(errnum));
    }
    for (const int errnum : {ENOENT, EINVAL, ENOSYS, EPERM, EIO}) CHECK(!tells_of_want(errnum));
  }

  TEST_CASE("a failed call names the act, the object and the reason") {
    errno = ENOENT;
    CHECK_THROWS_WITH_AS(throw_errno("open", "/a\nb"), "open '/a\\x0ab': No such file or directory",
                         SysError);
    errno = EACCES;
    const auto message_that_spoils_errno = [] {
      errno = 0;
      return std::string("read 'x'");
    };
    CHECK_THROWS_WITH_AS(throw_errno(message_that_spoils_errno), "read 'x': Permission denied",
                         SysError);
  }

  TEST_CASE("context goes before the message and changes nothing else") {
    CHECK(with_context("unused", [] { return 7; }) == 7);
    const auto fail = [](auto error) { with_context("apply layer 'x'", [&] { throw error; }); };
    try {
      fail(SysError(EBUSY, "umount 'm'"));
      FAIL("nothing was thrown");
    } catch (const SysError& error) {
      CHECK(std::string(error.what()) == "apply layer 'x': umount 'm': Device or resource busy");
      CHECK(error.errnum() == EBUSY);
      CHECK(error.kind() == ErrorKind::Busy);
    }
    try {
      fail(Error(ErrorKind::BadArchive, "no tar"));
      FAIL("nothing was thrown");
    } catch (const Error& error) {
      CHECK(std::string(error.what()) == "apply layer 'x': no tar");
      CHECK(error.kind() == ErrorKind::BadArchive);
    }
  }

  TEST_CASE("context passes exceptions of other types through") {
    CHECK_THROWS_WITH_AS(with_context("c", [] { throw std::runtime_error("other"); }), "other",
                         std::runtime_error);
  }

  TEST_CASE("quoted text cannot forge a line") {
    struct Case {
      std::string text;
      std::string quoted_text;
    };
    for (const auto& [text, quoted_text] :
         {Case{"", "''"}, Case{"plain", "'plain'"}, Case{"tab\t\n", "'tab\\x09\\x0a'"},
          Case{std::string("nul\0", 4), "'nul\\x00'"}, Case{"caf\xc3\xa9", "'caf\xc3\xa9'"},
          Case{"\xf0\x9f\x90\xb3", "'\xf0\x9f\x90\xb3'"}, Case{"\xff\xe9", "'\\xff\\xe9'"},
          Case{"\xc3", "'\\xc3'"}, Case{"\xed\xa0\x80", "'\\xed\\xa0\\x80'"},
          Case{"\xe0\x80\xaf", "'\\xe0\\x80\\xaf'"},
          Case{"\xf4\x90\x80\x80", "'\\xf4\\x90\\x80\\x80'"}, Case{"\xc0\xaf", "'\\xc0\\xaf'"},
          Case{"\xc2\x9b"
               "1m",
               "'\\xc2\\x9b1m'"},
          Case{"\x1b[1m", "'\\x1b[1m'"}, Case{"\x7f", "'\\x7f'"}}) {
      CAPTURE(quoted_text);
      CHECK(quoted(text) == quoted_text);
    }
  }

  TEST_CASE("long text is cut in the middle") {
    const std::string text = std::string(200, 'a') + std::string(200, 'z');
    CHECK(quoted(text) == "'" + std::string(160, 'a') + "…" + std::string(160, 'z') + "'");
    CHECK(quoted(std::string(320, 'a')) == "'" + std::string(320, 'a') + "'");
  }
}

}  // namespace
}  // namespace overlayd
