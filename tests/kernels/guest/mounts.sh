#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# How layers are mounted on a kernel that lacks the newest ways.
HERE=$(dirname "${BASH_SOURCE[0]}")
set -- /run/mounts
source "$HERE/lib.sh"

# layer-names is of 6.8, layer-fds of 6.13.
case $(uname -r) in
  6.1.*) best=classic lacking="layer-names layer-fds" ;;
  *) best=layer-names lacking=layer-fds ;;
esac

start
init
is "auto takes the best that there is" "$best" "$(status_row "Mount API")"
filled base "" 'echo below >f && echo gone >g'
create_rw top base
get top
is "a layer is mounted with it" "below" "$(cat "$DIR/f")"
rm "$DIR/g"
is "and can be written to" "f" "$(ls "$DIR")"
put top
end TERM
rm -rf /run/state/*
for method in $lacking; do
  OVERLAYD_MOUNT_API=$method start
  init
  says "$method is refused" "$method"
  end TERM
done
start
init
remove top
remove base
end TERM
