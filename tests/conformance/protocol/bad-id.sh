#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Ids become names of directories. The plugin must not follow them out of its home.
source "$(dirname "$0")/lib.sh"

init
for id in '' . .. ../outside a/b /etc l; do
  call GraphDriver.Create "{\"ID\":\"$id\",\"Parent\":\"\"}"
  fails "Create refuses '$id'"
  call GraphDriver.Remove "{\"ID\":\"$id\"}"
  fails "Remove refuses '$id'"
done
apply '../outside' '' </dev/null
fails "ApplyDiff refuses '../outside'"
is "nothing is made outside" "" "$(ls -d "$PLUGIN_ROOT$(dirname "$HOME_DIR")/outside" 2>/dev/null || true)"
call GraphDriver.Get '{"ID":".."}'
refused "the text names it" "GraphDriver.Get: layer id '..' begins with '.', which the store keeps for itself"
