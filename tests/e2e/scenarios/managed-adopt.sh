# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# a managed plugin adopts what the engine's own driver has, and releases it
# needs: overlayd
mkdir -p "$(data_root)"
make_bundle "$SCRATCH/bundle"
on_builtin_driver
import_busybox busybox >/dev/null
docker run --network none --name kept busybox sh -c 'echo one >/one; rm /bin/vi'
PLUGIN=example/overlayd:latest
docker plugin create "$PLUGIN" "$SCRATCH/bundle" >/dev/null
docker plugin enable "$PLUGIN" >/dev/null
everything() {
  docker image ls --all --no-trunc --format '{{.ID}} {{.Repository}}:{{.Tag}} {{.Size}}'
  docker save busybox | sha256sum
  docker ps --all --format '{{.Names}} {{.Image}}'
  changes_of kept
}
before=$(everything)
stop_dockerd
fails_with "a plugin that is not there adopts nothing" "there is no managed plugin 'other:latest'" \
  "$OVERLAYD" adopt --driver other:latest "$(data_root)"
succeeds "one that is there does" "$OVERLAYD" adopt --driver "$PLUGIN" "$(data_root)"
on_plugin
same "on the plugin the engine has what it had" "$before" "$(everything)"
same "and goes on with it" "one" "$(docker start kept >/dev/null && docker cp kept:/one - | tar xO)"
run busybox true
docker commit kept more >/dev/null
before=$(everything)
stop_dockerd
succeeds "it releases them" "$OVERLAYD" release --driver "$PLUGIN" "$(data_root)"
on_builtin_driver
same "to the engine's own driver" "$before" "$(everything)"
succeeds "the plugin can be removed" docker plugin rm --force "$PLUGIN"
