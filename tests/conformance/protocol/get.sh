#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# GraphDriver.Get: mounts a layer and says where.
source "$(dirname "$0")/lib.sh"

init
filled get-base "" 'mkdir dir && echo one >dir/one && echo two >two'
filled get-top get-base 'mkdir dir && echo three >dir/three && touch .wh.two'
get get-top
gives "gives a directory" "{\"Dir\":\"${DIR#"$PLUGIN_ROOT"}\"}"
is "below the home" "$HOME_DIR/" "$(cut -c "1-$((${#HOME_DIR} + 1))" <<<"${DIR#"$PLUGIN_ROOT"}")"
is "with the layer's files and its parent's, without the removed" "dir dir/one dir/three" \
  "$(cd "$DIR" && find . -mindepth 1 -printf '%P\n' | sort | xargs)"
# The daemon fails to start a container whose path is not what it was.
first=$DIR
get get-top
is "again: the same" "$first" "$DIR"
put get-top
is "held until each Get has its Put" "one" "$(cat "$DIR/dir/one")"
put get-top
get get-top
is "and the same ever after" "$first" "$DIR"
put get-top
