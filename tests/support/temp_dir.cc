// SPDX-License-Identifier: Apache-2.0
#include "tests/support/temp_dir.h"

#include <fcntl.h>
#include <stdlib.h>

#include <exception>

#include <doctest/doctest.h>

#include "core/error.h"
#include "core/stream.h"
#include "core/sys.h"

namespace overlayd::test {
namespace {

std::string make_directory() {
  const char* parent = ::getenv("TMPDIR");
  std::string path = std::string(parent == nullptr || *parent == '\0' ? "/tmp" : parent);
  path += "/overlayd-test-XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) throw_errno("make a temporary directory", path);
  return path;
}

}  // namespace

TempDir::TempDir()
    : path_(make_directory()), fd_(sys::openat(AT_FDCWD, path_, O_RDONLY | O_DIRECTORY)) {}

TempDir::~TempDir() {
  try {
    sys::remove_tree(AT_FDCWD, path_);
  } catch (const std::exception& error) {
    ADD_FAIL_CHECK_AT(__FILE__, __LINE__, "left behind: " << error.what());
  }
}

void TempDir::write(const std::string& name, const std::string& content) const {
  const UniqueFd file = sys::openat(fd(), name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  sys::write_full(file.get(), as_bytes(content));
}

std::string TempDir::read(const std::string& name) const {
  return sys::read_file(fd(), name, size_t{64} << 20);
}

}  // namespace overlayd::test
