#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# GraphDriver.Init: where the layers are to be. The engine sends it once when it starts, also to a plugin that has been
# running for long.
source "$(dirname "$0")/lib.sh"

init
gives "takes a home" '{}'
is "which is made" "directory" "$(stat --format %F "$PLUGIN_ROOT$HOME_DIR")"

create init-base
create init-top init-base
get init-top
echo kept >"$DIR/file"
init
gives "again" '{}'
is "leaves a layer in use as it is" "kept" "$(cat "$DIR/file")"
put init-top
