#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# GraphDriver.CreateReadWrite: an empty layer for a container.
source "$(dirname "$0")/lib.sh"

init
filled rw-base "" 'echo below >file'
call GraphDriver.CreateReadWrite '{"ID":"rw-top-init","Parent":"rw-base","MountLabel":"a:label","StorageOpt":null}'
MADE+=(rw-top-init)
gives "the layer below a container's" '{}'
call GraphDriver.CreateReadWrite '{"ID":"rw-top","Parent":"rw-top-init"}'
MADE+=(rw-top)
gives "a container's layer" '{}'
get rw-top
is "shows what is below" "below" "$(cat "$DIR/file")"
echo changed >"$DIR/file"
put rw-top
get rw-base
is "and keeps what is written to itself" "below" "$(cat "$DIR/file")"
put rw-base
