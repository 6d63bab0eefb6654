#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# GraphDriver.Cleanup: the daemon stops in good order. It takes no notice of a failure.
source "$(dirname "$0")/lib.sh"

init
create cleanup-base
create cleanup-top cleanup-base
get cleanup-top
echo kept >"$DIR/file"
call GraphDriver.Cleanup '{}'
gives "succeeds" '{}'
if [[ -n $EXACT ]]; then
  is "and leaves alone what is held" "kept" "$(cat "$DIR/file")"
fi
put cleanup-top
