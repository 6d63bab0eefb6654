#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# GraphDriver.Create: an empty layer for an image.
source "$(dirname "$0")/lib.sh"

init
create create-base
gives "without a parent" '{}'
create create-top create-base
gives "on a parent" '{}'
call GraphDriver.Create '{"ID":"create-null","Parent":null,"MountLabel":null,"StorageOpt":null,"Future":1}'
MADE+=(create-null)
gives "null is none, and fields of the future do no harm" '{}'
get create-top
is "it is empty" "" "$(ls -A "$DIR")"
is "a directory of the usual mode" "755 0:0" "$(stat --format '%a %u:%g' "$DIR")"
# BuildKit runs its steps in layers of this kind.
touch "$DIR/file"
is "that can be written to" "file" "$(ls -A "$DIR")"
put create-top
