# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# every way to mount serves the engine, and one takes over from another under running containers
# needs: process
begin_scenario

mount_api() {
  docker info --format '{{range .DriverStatus}}{{if eq (index . 0) "Mount API"}}{{index . 1}}{{end}}{{end}}'
}

context=$(new_context layers <<'END'
FROM busybox
RUN echo one >/1 && mkdir /d && touch /d/old
RUN rm -r /d && mkdir /d && echo two >/d/2
END
)

run_idle before busybox
for api in classic layer-names layer-fds; do
  stop_overlayd
  start_overlayd --mount-api "$api"
  same "$api: is what the engine is told" "$api" "$(mount_api)"
  same "$api: a container mounted in another way runs on" "still here" \
    "$(docker exec before sh -c 'echo still here >/log && cat /log')"
  succeeds "$api: builds" classic_build "built-$api" "$context"
  same "$api: with the right files" "one two 2" "$(run "built-$api" sh -c 'echo $(cat /1 /d/2) $(ls /d)')"
  run_idle "run-$api" "built-$api"
  docker exec "run-$api" sh -c 'rm /1 && echo new >/new'
  same "$api: and changes" "D /1
A /new" "$(changes_of "run-$api")"
done

# The last of them takes down what the others have mounted.
docker stop before run-classic run-layer-names run-layer-fds >/dev/null
eventually "all are unmounted when they stop" 10 nothing_is_mounted
docker start run-classic >/dev/null
same "a container starts again, mounted in another way" "new" "$(docker exec run-classic cat /new)"
docker rm --force before run-classic run-layer-names run-layer-fds >/dev/null
