#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The connection breaks while a tar is sent, just where it could be taken for its end: the chunk of size 0 is missing.
source "$(dirname "$0")/lib.sh"

init
create cut-body
printf 'POST /GraphDriver.ApplyDiff?id=cut-body&parent= HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n' >"$WORK/raw"
head -c 1024 /dev/zero >>"$WORK/raw"
printf '\r\n' >>"$WORK/raw"
curl --silent --max-time 10 --unix-socket "$SOCKET" telnet://plugin <"$WORK/raw" >"$WORK/answer" || true
is "is no success" "" "$(grep -a 'HTTP/1.1 200' "$WORK/answer" || true)"
apply cut-body "" < <(tar --create --directory "$WORK" raw)
refused "and the layer is spoiled" "layer 'cut-body' can only be removed: its ApplyDiff did not finish"
