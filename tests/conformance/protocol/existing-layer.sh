#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Create of a layer that is there already: it must not be taken for a new one. An engine whose connection broke sends a
# call again.
source "$(dirname "$0")/lib.sh"

init
filled existing "" 'echo content >file'
call GraphDriver.Create '{"ID":"existing","Parent":""}'
refused "it is an error" "layer 'existing' exists already"
get existing
is "and the layer is as before" "content" "$(cat "$DIR/file")"
put existing
