// SPDX-License-Identifier: Apache-2.0
//
// RawClient: sends hand-written bytes to a unix socket and reads whatever comes back, so that tests
// see what is on the wire and not what an HTTP library makes of it.
#pragma once

#include <filesystem>
#include <string>

#include "core/unique_fd.h"

namespace overlayd::test {

class RawClient {
 public:
  explicit RawClient(const std::filesystem::path& socket);

  /// False when the peer takes no more.
  bool send(const std::string& bytes);
  void finish_sending();  ///< half-closes

  /// One reply with a Content-Length: headers and body.
  std::string read_reply();
  /// Everything up to the end of the connection.
  std::string read_to_end();
  /// The bytes up to and including `mark`, or to the end of the connection.
  std::string read_past(const std::string& mark);
  /// So many bytes; fewer at the end of the connection.
  std::string read_exactly(size_t count);

 private:
  bool receive();

  UniqueFd fd_;
  std::string pending_;
};

/// A POST with a Content-Length and nothing optional.
std::string post(const std::string& path, const std::string& body);
/// The head of a POST whose body follows in chunks.
std::string post_chunked(const std::string& path);
std::string chunk(const std::string& content);

}  // namespace overlayd::test
