# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# the engine restarts with --live-restore and the containers run on, also when overlayd restarts too
begin_scenario
# A managed plugin is installed by then: one that outlives an engine without containers can lose the mounts
# that it shares with the next one.
stop_dockerd
start_dockerd --live-restore

run_idle alive busybox
docker exec alive sh -c 'echo one >/log'
mounts=$(layer_mounts)
pid=$(docker inspect --format '{{.State.Pid}}' alive)

# --- a clean restart of the engine
stop_dockerd
same "the container's layer stays mounted" "$mounts" "$(layer_mounts)"
succeeds "the container runs on" kill -0 "$pid"
echo two >>"/proc/$pid/root/log"
start_dockerd --live-restore
same "it is the same process" "$pid running" "$(docker inspect --format '{{.State.Pid}} {{.State.Status}}' alive)"
same "with its files, and exec works" "one two" "$(docker exec alive sh -c 'echo $(cat /log)')"
same "its layer is mounted once" "$mounts" "$(layer_mounts)"
same "its changes are seen" "A /log" "$(changes_of alive)"

# --- the engine is killed
kill_dockerd
succeeds "the container runs on when the engine is killed" kill -0 "$pid"
start_dockerd --live-restore
same "it is the same process again" "$pid running" "$(docker inspect --format '{{.State.Pid}} {{.State.Status}}' alive)"
same "and writes on" "one two three" "$(docker exec alive sh -c 'echo three >>/log && echo $(cat /log)')"

# --- both restart, in both orders
if runs_overlayd; then
  stop_dockerd
  kill_overlayd
  start_overlayd
  start_dockerd --live-restore
  same "overlayd killed while the engine is away: the container writes on" "one two three four" \
    "$(docker exec alive sh -c 'echo four >>/log && echo $(cat /log)')"
  stop_dockerd
  stop_overlayd
  succeeds "both stopped: the container runs on" kill -0 "$pid"
  start_overlayd
  start_dockerd --live-restore
  same "and its layer is still mounted once" "$mounts" "$(layer_mounts)"
fi

succeeds "other containers come and go" run busybox true
same "without taking its layer away" "$mounts" "$(layer_mounts)"

docker stop alive >/dev/null
eventually "it is unmounted when it stops" 10 nothing_is_mounted
docker start alive >/dev/null
same "and starts again with its files" "one two three" "$(docker exec alive sh -c 'echo $(head -n 3 /log)')"
docker rm --force alive >/dev/null
eventually "and is unmounted when removed" 10 nothing_is_mounted

# Nothing is to outlive the engine at the end, a managed plugin least of all.
stop_dockerd
start_dockerd
