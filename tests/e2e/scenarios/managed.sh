# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# overlayd as a managed plugin, from config.json: created, enabled, used, killed by the engine, restarted
# needs: overlayd
source "$HERE/managed.sh"
plugin=$SCRATCH/plugin
make_bundle "$plugin"
same "the plugin asks for what it cannot do without" "CAP_SYS_ADMIN" \
  "$(jq -r '.Linux.Capabilities[]' "$plugin/config.json" | grep -x CAP_SYS_ADMIN)"

# The plugin's name with its tag becomes part of the path of its home, colon and all.
STORAGE_DRIVER=overlay2 start_dockerd
succeeds "the plugin is created from config.json" docker plugin create overlayd "$plugin"
succeeds "and enabled" docker plugin enable overlayd
id=$(docker plugin inspect overlayd --format '{{.Id}}')
stop_dockerd

STORAGE_DRIVER=overlayd:latest
# shellcheck disable=SC2317  # the second one replaces it
home() { printf '%s/plugins/%s/propagated-mount/%s' "$(data_root)" "$id" "$STORAGE_DRIVER"; }
# The plugin's own root and propagated mount are the engine's business.
layer_mounts() { mounts_below "$SCRATCH" | grep '/merged$' || true; }
start_dockerd
import_busybox busybox >/dev/null
same "info names the plugin" "$STORAGE_DRIVER" "$(docker info --format '{{.Driver}}')"

run_idle first busybox
docker exec first sh -c 'echo one >/log && rm /bin/vi'
same "a container on it writes" "one" "$(docker exec first cat /log)"
same "and its changes are seen" "C /bin
D /bin/vi
A /log" "$(changes_of first)"
context=$(new_context managed <<'END'
FROM busybox
RUN mkdir -p /d/e && echo built >/d/e/f
RUN rm -r /d && mkdir /d && echo again >/d/g
END
)
succeeds "classic build" classic_build managed "$context"
same "gives the right files" "g again" "$(run managed sh -c 'echo $(ls /d) $(cat /d/g)')"
succeeds "BuildKit build" buildkit_build managed-bk "$context"
same "gives the same" "g again" "$(run managed-bk sh -c 'echo $(ls /d) $(cat /d/g)')"
docker save --output "$SCRATCH/managed.tar" managed
same "the saved layers hash right" "Loaded image: managed:latest" "$(docker load --input "$SCRATCH/managed.tar")"

# --- the engine starts a plugin again that died, in a new container
process() { grep --files-with-matches --text '^/usr/bin/overlayd' /proc/[0-9]*/cmdline 2>/dev/null | cut -d / -f 3; }
before=$(process)
kill -KILL "$before"
is_replaced() { [[ $(process) && $(process) != "$before" ]]; }
eventually "a killed plugin is started again" 20 is_replaced
same "the container has its files" "one two" "$(docker exec first sh -c 'echo two >>/log && echo $(cat /log)')"
same "and new ones start" "started" "$(run busybox echo started)"
docker stop first >/dev/null
eventually "the container's layer is unmounted when it stops" 10 nothing_is_mounted

# --- all of it survives a restart of the engine
stop_dockerd
start_dockerd
docker start first >/dev/null
same "after a restart the container has its files" "one two" "$(docker exec first sh -c 'echo $(cat /log)')"
fails_with "a plugin in use cannot be disabled" "in use" docker plugin disable overlayd

succeeds "everything can be removed" remove_everything
eventually "then nothing is mounted" 10 nothing_is_mounted
eventually "and no layer is left" 10 store_has_no_layers
same "the plugin logged no warning and no error" "" \
  "$(grep "plugin=$id" "$DOCKERD_LOG" | grep -E '(error|warning|critical):' || true)"
stop_dockerd

STORAGE_DRIVER=overlay2
home() { printf '%s/overlay2' "$(data_root)"; }
start_dockerd
succeeds "the plugin can be removed" docker plugin rm --force overlayd
