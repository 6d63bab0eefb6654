// SPDX-License-Identifier: Apache-2.0
#include "tests/model/client.h"

#include <sched.h>

#include "core/error.h"

namespace overlayd::model {
namespace {

using Kind = Call::Kind;

std::string tar_to_send(const Call& call) {
  constexpr size_t kEnd = 1024;
  std::string tar = tar_of(call.members);
  switch (call.fault) {
    case Call::Fault::CutTar: return tar.replace(tar.size() - kEnd, kEnd, 200, 'x');
    case Call::Fault::BadTar: return tar.insert(tar.size() - kEnd, 512, 'x');
    default: return tar;
  }
}

// So that others may come in between; nothing depends on it.
void give_way() {
  for (int i = 0; i < 50; ++i) ::sched_yield();
}

}  // namespace

Answer Client::make(const Call& call) {
  try {
    if (!connection_) connection_.emplace(socket_);
  } catch (const Error&) {
    return {.kind = Answer::Kind::None};
  }
  send(call);
  return receive(call);
}

std::string Client::body_of(const Call& call) const {
  if (call.kind == Kind::Init) {
    return "{\"Home\":\"" + home_ + "\",\"Opts\":null,\"UIDMaps\":null,\"GIDMaps\":null}\n";
  }
  return "{\"ID\":\"" + call.id + "\",\"Parent\":\"" + call.parent + "\"}\n";
}

// What cannot be sent shows when no answer comes.
void Client::send(const Call& call) {
  if (call.kind == Kind::ApplyDiff) return send_tar(call);
  connection_->send(test::post(std::string("/GraphDriver.") + name_of(call.kind), body_of(call)));
}

void Client::send_tar(const Call& call) {
  const std::string tar = tar_to_send(call);
  connection_->send(
      test::post_chunked("/GraphDriver.ApplyDiff?id=" + call.id + "&parent=" + call.parent));
  connection_->send(test::chunk(tar.substr(0, tar.size() / 2)));
  if (call.fault == Call::Fault::CutBody) return connection_->finish_sending();
  give_way();
  connection_->send(test::chunk(tar.substr(tar.size() / 2)) + "0\r\n\r\n");
}

Answer Client::receive(const Call& call) {
  const std::string head = connection_->read_past("\r\n\r\n");
  const std::string length = "Content-Length: ";
  if (!head.ends_with("\r\n\r\n")) {
    connection_.reset();
    return {.kind = Answer::Kind::None};
  }
  const bool failed = head.find(" 200 ") == head.npos;
  std::optional<std::string> body;
  if (const size_t field = head.find(length); field != head.npos) {
    const size_t size = std::stoul(head.substr(field + length.size()));
    body = connection_->read_exactly(size);
    if (body->size() < size) body.reset();
  } else {
    give_way();
    body = receive_chunks();
  }
  if (!body || head.find("Connection: close") != head.npos) connection_.reset();
  if (!body) return {.kind = Answer::Kind::Failure, .text = kCut};
  if (failed || body->find("\"Err\":") != body->npos) return {Answer::Kind::Failure, *body};
  if (call.kind != Kind::Diff) return {Answer::Kind::Success, *body};
  try {
    return {.kind = Answer::Kind::Success, .members = members_of(*body)};
  } catch (const Error& error) {
    return {.kind = Answer::Kind::Failure, .text = error.what()};
  }
}

std::optional<std::string> Client::receive_chunks() {
  std::string body;
  for (;;) {
    const std::string line = connection_->read_past("\r\n");
    if (!line.ends_with("\r\n")) return std::nullopt;
    const size_t size = std::stoul(line, nullptr, 16);
    const std::string chunk = connection_->read_exactly(size + 2);
    if (chunk.size() < size + 2) return std::nullopt;
    if (size == 0) return body;
    body.append(chunk, 0, size);
  }
}

}  // namespace overlayd::model
