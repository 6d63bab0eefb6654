// SPDX-License-Identifier: Apache-2.0
//
// Input: a byte that chooses, then what an engine sends: JSON, a query, or a body as framed by
// HTTP. Promises: only Error(InvalidArgument) comes out, for bodies also Aborted; an Init that was
// taken is the same after being kept; a body does not depend on the sizes that it is read in.
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/stream.h"
#include "core/unique_fd.h"
#include "plugin/http_body.h"
#include "plugin/protocol.h"
#include "plugin/socket_io.h"
#include "tests/fuzz/finding.h"

namespace {

using namespace overlayd;
using namespace overlayd::fuzz;

template <typename Work>
void refuses_properly(Work work) {
  try {
    work();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::InvalidArgument) finding(describe(error));
    encode(ErrorReply{error.what()});
  }
}

void try_init(std::string_view body) {
  const InitRequest request = decode_init(body);
  const std::string kept = encode(request);
  const InitRequest again = decode_init(kept);
  check(again == request && encode(again) == kept, "a kept Init is the same");
}

std::string changes_reply(std::string_view path, bool fails) {
  StringSink sink;
  ChangesReply reply(sink);
  reply.add(path, ChangeKind::Add);
  if (fails) {
    reply.fail(std::string(path));
  } else {
    reply.finish();
  }
  return sink.text();
}

void try_replies(std::string_view text) {
  const std::string any(text);
  for (const std::string& reply :
       {encode(ErrorReply{any}), encode(GetReply{any}), encode(StatusReply{{{any, any}}}),
        encode(MetadataReply{{{any, any}}}), changes_reply(text, false),
        changes_reply(text, true)}) {
    check(std::count(reply.begin(), reply.end(), '\n') == 1 && reply.ends_with('\n'),
          "a reply is one line");
  }
}

// ---------------------------------------------------------------------------------------- bodies

/// A connection whose peer has sent `text`, in packets of `step` bytes, and closed.
class Sent {
 public:
  Sent(std::string_view text, size_t step) {
    std::array<int, 2> fds{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds.data()) != 0)
      throw_errno("make sockets for", "a body");
    ours_ = UniqueFd(fds[0]);
    const UniqueFd peer(fds[1]);
    for (; !text.empty(); text.remove_prefix(std::min(step, text.size()))) {
      if (::send(peer.get(), text.data(), std::min(step, text.size()), MSG_DONTWAIT) < 0)
        throw_errno("send", "a body");
    }
  }
  int fd() const { return ours_.get(); }

 private:
  UniqueFd ours_;
};

struct Body {
  std::string bytes;
  std::optional<ErrorKind> failure;
  bool operator==(const Body&) const = default;
};

Body receive(std::string_view text, size_t step, size_t buffer_size, std::string_view length,
             std::string_view coding) {
  const Sent sent(text, step);
  SocketIo io(sent.fd());
  Body result;
  try {
    HttpBody body = HttpBody::framed_by(io, length, coding);
    std::vector<std::byte> buffer(buffer_size);
    while (const size_t count = body.read(buffer))
      result.bytes.append(reinterpret_cast<const char*>(buffer.data()), count);
    check(body.finished() && body.drain_rest(), "a body that ended is finished");
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::InvalidArgument && error.kind() != ErrorKind::Aborted)
      finding(describe(error));
    return {{}, error.kind()};  // how much came before that depends on the sizes
  }
  return result;
}

void try_body(std::string_view text, std::string_view length, std::string_view coding) {
  // Each packet costs the socket some room.
  const size_t small_step = text.size() / 64 + 1;
  const Body whole = receive(text, text.size() + 1, 4096, length, coding);
  check(whole == receive(text, small_step, 3, length, coding),
        "a body is the same in small pieces");
  check(whole == receive(text, small_step, 2 * SocketIo::kLargeRead, length, coding),
        "a body is the same past the buffer");
}

std::string chunked(std::string_view text, size_t step) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  for (; !text.empty(); text.remove_prefix(std::min(step, text.size()))) {
    const std::string_view chunk = text.substr(0, step);
    out += {kHex[chunk.size() / 16], kHex[chunk.size() % 16], '\r', '\n'};
    out.append(chunk).append("\r\n");
  }
  return out + "0\r\n\r\n";
}

void try_framings(std::string_view text) {
  try_body(text, "", "chunked");
  const size_t line = std::min(text.find('\n'), text.size());
  try_body(text.substr(std::min(line + 1, text.size())), text.substr(0, line), "");
  try_body(text, "", text.substr(0, line));
  const std::string framed = chunked(text, text.size() % 255 + 1);
  const Body body = receive(framed, framed.size(), 4096, "", "Chunked");
  check(body == Body{std::string(text), std::nullopt}, "a chunked body is what was sent");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text = as_text(data, size).substr(1);
  switch (data[0]) {
    case 'i': refuses_properly([&] { try_init(text); }); break;
    case 'q': refuses_properly([&] { decode_apply_query(text); }); break;
    case 'b': try_framings(text); break;
    case 'r': try_replies(text); break;
    default:
      refuses_properly([&] { decode_create(text); });
      refuses_properly([&] { decode_layer(text); });
      refuses_properly([&] { decode_get(text); });
      refuses_properly([&] { decode_diff(text); });
  }
  return 0;
}
