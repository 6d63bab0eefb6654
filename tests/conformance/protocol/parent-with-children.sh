#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Remove of a layer that others lie on. An engine does not ask for it, unless it lost track in a crash.
source "$(dirname "$0")/lib.sh"

init
filled below "" 'echo below >file'
create above below
call GraphDriver.Remove '{"ID":"below"}'
refused "it is an error" "layer 'below' lies under 1 other layers"
get above
is "and those others have their files" "below" "$(cat "$DIR/file")"
put above
