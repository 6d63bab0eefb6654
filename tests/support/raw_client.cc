// SPDX-License-Identifier: Apache-2.0
#include "tests/support/raw_client.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstdio>
#include <cstring>

#include "core/error.h"

namespace overlayd::test {

RawClient::RawClient(const std::filesystem::path& socket)
    : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, socket.c_str(), sizeof(address.sun_path) - 1);
  if (::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    throw_errno([&] { return "connect to " + socket.string(); });
}

bool RawClient::send(const std::string& bytes) {
  size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t count = ::send(fd_.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (count < 0) return false;
    sent += static_cast<size_t>(count);
  }
  return true;
}

void RawClient::finish_sending() { ::shutdown(fd_.get(), SHUT_WR); }

bool RawClient::receive() {
  std::array<char, 16384> buffer;
  const ssize_t count = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
  if (count > 0) pending_.append(buffer.data(), static_cast<size_t>(count));
  return count > 0;
}

std::string RawClient::read_past(const std::string& mark) {
  size_t found = std::string::npos;
  while ((found = pending_.find(mark)) == std::string::npos) {
    if (!receive()) return std::exchange(pending_, {});
  }
  std::string text = pending_.substr(0, found + mark.size());
  pending_.erase(0, text.size());
  return text;
}

std::string RawClient::read_reply() {
  const std::string head = read_past("\r\n\r\n");
  const std::string name = "Content-Length: ";
  const size_t field = head.find(name);
  if (field == std::string::npos) return head;
  return head + read_exactly(std::stoul(head.substr(field + name.size())));
}

std::string RawClient::read_exactly(size_t count) {
  while (pending_.size() < count && receive()) {
  }
  std::string bytes = pending_.substr(0, count);
  pending_.erase(0, bytes.size());
  return bytes;
}

std::string RawClient::read_to_end() {
  while (receive()) {
  }
  return std::exchange(pending_, {});
}

std::string post(const std::string& path, const std::string& body) {
  return "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

std::string post_chunked(const std::string& path) {
  return "POST " + path + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
}

std::string chunk(const std::string& content) {
  std::array<char, 20> size;
  std::snprintf(size.data(), size.size(), "%zx\r\n", content.size());
  return size.data() + content + "\r\n";
}

}  // namespace overlayd::test
