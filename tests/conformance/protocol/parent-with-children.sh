#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Remove of a layer that others lie on. An engine asks for it after a crash, in which it lost track of those others.
source "$(dirname "$0")/lib.sh"

init
filled below "" 'echo below >file'
create above below
call GraphDriver.Remove '{"ID":"below"}'
gives "it is a success" '{}'
call GraphDriver.Exists '{"ID":"below"}'
gives "the layer is gone" '{"Exists":false}'
get above
is "but those others have their files" "below" "$(cat "$DIR/file")"
put above
call GraphDriver.Remove '{"ID":"above"}'
is "and it goes with the last of them" "" "$(ls -d "$PLUGIN_ROOT$HOME_DIR"/{above,below} 2>/dev/null)"
