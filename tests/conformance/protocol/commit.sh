#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What docker commit does: a Diff is read and an ApplyDiff fed with it at the same time. A plugin that serves one call at
# a time never ends this.
source "$(dirname "$0")/lib.sh"

init
filled commit-from "" 'head -c 3000000 /dev/urandom >big'
create commit-to
apply commit-to "" < <(curl --silent --no-buffer --unix-socket "$SOCKET" --data '{"ID":"commit-from","Parent":""}' http://plugin/GraphDriver.Diff)
gives "takes what the other gives" '{"Size":3000000}'
get commit-from
from=$(sha256sum <"$DIR/big")
put commit-from
get commit-to
is "all of it" "$from" "$(sha256sum <"$DIR/big")"
put commit-to
