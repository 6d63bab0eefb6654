# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# a managed plugin named after its registry: set up, upgraded with every layer kept, removed with all of them
# needs: overlayd
coproc REGISTRY { exec "$HERE/registry.py"; }
# shellcheck disable=SC2154  # coproc sets it
registry=$REGISTRY_PID
read -r port <&"${REGISTRY[0]}"
name=127.0.0.1:$port/team/overlayd

# The name, with slashes and colons, is part of every path.
begin_managed "$name:v1"
same "info names the plugin" "$name:v1" "$(docker info --format '{{.Driver}}')"
context=$(new_context layers <<'END'
FROM busybox
RUN mkdir /d && echo one >/d/1 && echo two >/d/2
RUN rm /d/1
RUN echo three >/d/3
END
)
succeeds "build" buildkit_build layers "$context"
run_idle kept layers
docker exec kept sh -c 'rm /d/2 && echo four >/d/4'
layers=$(layers_on_disk)

on_builtin_driver
same "what may be set" \
  "OVERLAYD_DURABILITY OVERLAYD_LOG_FORMAT OVERLAYD_LOG_LEVEL OVERLAYD_METRICS OVERLAYD_MOUNT_API" \
  "$(docker plugin inspect "$name:v1" | jq -r '[.[].Config.Env[] | select(.Settable == ["value"]) | .Name] | sort | join(" ")')"
make_bundle "$SCRATCH/v2"
edit_config "$SCRATCH/v2" '.Description = "version 2"'
echo 2 >"$SCRATCH/v2/rootfs/version" # the engine refuses to create the same root twice
docker plugin create "$name:v2" "$SCRATCH/v2" >/dev/null
succeeds "a new version is pushed" docker plugin push "$name:v2"
docker plugin rm "$name:v2" >/dev/null
docker plugin disable "$name:v1" >/dev/null
succeeds "the plugin is upgraded to it" \
  docker plugin upgrade --skip-remote-check --grant-all-permissions "$name:v1" "$name:v2"
same "under the name it had" "version 2" "$(docker plugin inspect --format '{{.Config.Description}}' "$name:v1")"
succeeds "options are set" docker plugin set "$name:v1" OVERLAYD_LOG_LEVEL=debug OVERLAYD_MOUNT_API=classic
docker plugin enable "$name:v1" >/dev/null

on_plugin
same "every layer is there" "$layers" "$(layers_on_disk)"
docker start kept >/dev/null
same "the container has its files" "3 4 three four" "$(docker exec kept sh -c 'echo $(ls /d) $(cat /d/*)')"
same "the image too" "2 3 two three" "$(run layers sh -c 'echo $(ls /d) $(cat /d/*)')"
same "and its options hold" "classic" \
  "$(docker info --format '{{range .DriverStatus}}{{if eq (index . 0) "Mount API"}}{{index . 1}}{{end}}{{end}}')"
same "for the log too" "debug:" "$(plugin_log | grep -o 'debug:' | head -n 1)"
end_managed
kill "$registry"
wait "$registry" 2>/dev/null || true
