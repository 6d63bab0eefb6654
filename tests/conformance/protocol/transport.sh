#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# HTTP as Docker's client speaks it, on one connection for many calls.
source "$(dirname "$0")/lib.sh"

init
# Clients before 20.10.26 have no name for the host of a socket.
call GraphDriver.Status '{}' --header 'Host;'
is "an empty Host" "200" "$STATUS"
call GraphDriver.Status '{}' --header 'Host: plugin.moby.localhost'
is "and the newer one" "200" "$STATUS"
call GraphDriver.Status '{}' --header 'Transfer-Encoding: chunked'
is "a chunked body" "200" "$STATUS"
is "a connection is kept open" "0" "$(curl --silent --unix-socket "$SOCKET" --data '{}' --output /dev/null --output /dev/null \
  --write-out '%{num_connects} ' http://plugin/GraphDriver.Status http://plugin/GraphDriver.Status | cut -d ' ' -f 2)"
# The plugin manager looks whether somebody listens in this way.
raw '' >/dev/null
call GraphDriver.Status '{}'
is "one that is opened and closed does no harm" "200" "$STATUS"
if [[ -n $EXACT ]]; then
  is "no HTTP is a bad request, and the end of the connection" "HTTP/1.1 400 Bad Request" \
    "$(raw $'hello\r\n\r' | head -n 1 | tr -d '\r')"
  is "and so are two lengths" "HTTP/1.1 400 Bad Request" \
    "$(raw $'POST /GraphDriver.Status HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r' | head -n 1 | tr -d '\r')"
fi
