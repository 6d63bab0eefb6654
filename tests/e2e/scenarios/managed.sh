# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# overlayd as a managed plugin: used, killed under a container, disabled by force, restarted with the engine
# needs: overlayd
begin_managed overlayd:latest

same "info names the plugin" "overlayd:latest" "$(docker info --format '{{.Driver}}')"

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

# --- the engine starts a plugin again that died; what it mounted stays
run_idle second busybox
mounts=$(layer_mounts)
kill_plugin
same "the layers stay mounted" "$mounts" "$(layer_mounts)"
same "the containers have their files" "one two" "$(docker exec first sh -c 'echo two >>/log && echo $(cat /log)')"
same "and new ones start" "started" "$(run busybox echo started)"
docker rm --force second >/dev/null
same "a container is removed" "first" "$(docker ps --all --format '{{.Names}}')"
docker stop first >/dev/null
eventually "and no layer stays mounted once the other one stops" 10 nothing_is_mounted
docker start first >/dev/null

# --- disabled, which takes force: containers run on, but the engine can do nothing with them
fails_with "a plugin in use cannot be disabled" "in use" docker plugin disable overlayd
files=$(inside first)
succeeds "but by force" docker plugin disable --force overlayd
same "the engine then unmounts its layers" "" "$(layer_mounts)"
same "the container runs on" "one two three" "$(echo three >>"$files/log" && paste -sd ' ' "$files/log")"
succeeds "metrics can be asked for" docker plugin set overlayd \
  OVERLAYD_METRICS=unix:/run/docker/plugins/metrics.sock
succeeds "enabled again" docker plugin enable overlayd
same "with metrics on a socket that the host sees" "overlayd_store_open 1" \
  "$(curl --silent --unix-socket "/run/docker/plugins/$PLUGIN_ID/metrics.sock" http://overlayd/metrics | grep ^overlayd_store)"
same "it serves all as before" "one two three" "$(docker exec first sh -c 'echo $(cat /log)')"
# Nobody holds the new mount after a restart of the container, as the engine puts back what it got before.
allow_error "stays mounted: nobody holds it, but a process has it as its root directory"
succeeds "the container can be restarted" docker restart first
same "with its files" "one two three" "$(docker exec first sh -c 'echo $(cat /log)')"

# --- all of it survives a restart of the engine
on_plugin
docker start first >/dev/null
same "after a restart the container has its files" "one two three" "$(docker exec first sh -c 'echo $(cat /log)')"
end_managed
