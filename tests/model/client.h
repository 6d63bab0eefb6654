// SPDX-License-Identifier: Apache-2.0
//
// Client: makes the model's calls as an engine does, on one connection that is kept open. One
// thread uses an object.
#pragma once

#include <optional>
#include <string>

#include "tests/model/call.h"
#include "tests/support/raw_client.h"

namespace overlayd::model {

class Client {
 public:
  /// What the Failure says when a stream breaks off.
  static constexpr const char* kCut = "cut";

  /// `home` is what an Init is to ask for.
  Client(std::string socket, std::string home)
      : socket_(std::move(socket)), home_(std::move(home)) {}

  Answer make(const Call& call);

 private:
  std::string body_of(const Call& call) const;
  void send(const Call& call);
  void send_tar(const Call& call);
  Answer receive(const Call& call);
  std::optional<std::string> receive_chunks();

  std::string socket_;
  std::string home_;
  std::optional<test::RawClient> connection_;
};

}  // namespace overlayd::model
