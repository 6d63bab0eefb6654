# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# overlayd is killed or stopped while containers run: they go on, and everything works once it is back
# needs: process
begin_scenario

# One that reads back what it writes, over and over: its files must never fail it.
docker run --detach --network none --stop-signal KILL --name survivor busybox sh -c '
  while :; do
    echo beat >>/beats || touch /failed
    [ $(wc -l </beats) -gt 0 ] || touch /failed
    mkdir -p /new && rmdir /new || touch /failed
    sleep 0.1
  done' >/dev/null
files=$(inside survivor)
beats() { wc -l <"$files/beats"; }
have_more_beats_than() { (($(beats) > $1)); }
beats_on() { wait_for 10 have_more_beats_than "$(($(beats) + 3))" && [[ ! -e $files/failed ]]; }
docker run --network none --name ended busybox sh -c 'echo ended >>/ended'
succeeds "a container writes and reads" beats_on
mounts=$(layer_mounts)

# --- killed
kill_overlayd
same "the container's layer stays mounted" "$mounts" "$(layer_mounts)"
succeeds "the container writes and reads on" beats_on

# The engine tries again for some seconds, so a short absence is not noticed. It does not send Init again.
run busybox echo "started in its absence" >"$SCRATCH/absent-run" 2>&1 &
absent_run=$!
docker exec survivor sh -c 'mkdir /dir && rm /bin/vi && echo done' >"$SCRATCH/absent-exec" 2>&1 &
absent_exec=$!
sleep 1
start_overlayd
wait "$absent_run" "$absent_exec" || true
same "a container started in its absence runs" "started in its absence" "$(cat "$SCRATCH/absent-run")"
same "a command in the container begun in its absence runs" "done" "$(cat "$SCRATCH/absent-exec")"
same "the container is running" "running" "$(docker inspect --format '{{.State.Status}}' survivor)"
succeeds "and writes and reads" beats_on
same "its changes are seen" "A /beats
C /bin
D /bin/vi
A /dir" "$(changes_of survivor | grep -v ' /new$')"
succeeds "it can be committed" docker commit survivor survived
same "with all of it" "dir beat" "$(run survived sh -c 'echo $(ls -d dir) $(head -n 1 /beats)')"
succeeds "cp holds and releases it" docker cp survivor:/beats "$SCRATCH/beats"
succeeds "without unmounting it" beats_on
same "an older container starts again" "ended
ended" "$(docker start ended >/dev/null && docker wait ended >/dev/null && docker cp ended:/ended - | tar --extract --to-stdout)"

docker stop survivor >/dev/null
eventually "it is unmounted when it stops" 10 nothing_is_mounted
docker start survivor >/dev/null
files=$(inside survivor)
succeeds "and starts again with its files" beats_on
succeeds "it is removed by force while it runs" docker rm --force survivor
eventually "which leaves nothing mounted" 10 nothing_is_mounted

# --- stopped in good order, which must not take a running container's files away
run_idle survivor busybox
files=$(inside survivor)
stop_overlayd || true
same "overlayd ends on SIGTERM while a container runs" 0 "$OVERLAYD_STATUS"
same "the container's files are still there" "still here" "$(echo still here >"$files/log" && cat "$files/log")"
start_overlayd
same "and commands in it see them" "still here" "$(docker exec survivor cat /log)"
docker stop survivor >/dev/null
eventually "it is unmounted when it stops" 10 nothing_is_mounted
docker rm survivor >/dev/null

# --- a container ends while overlayd is away: the engine's Put comes late or never
run_idle orphan busybox
kill_overlayd
docker kill orphan >/dev/null 2>&1 &
killing=$!
sleep 1
start_overlayd
wait "$killing" || true
eventually "a container that ended meanwhile is unmounted" 20 nothing_is_mounted
succeeds "and removed" docker rm --force orphan

# --- killed in the middle of a layer
context=$(new_context blob <<'END'
FROM busybox
COPY blob /blob
END
)
head --bytes 20000000 /dev/urandom >"$context/blob"
classic_build blob "$context"
docker save --output "$SCRATCH/blob.tar" blob
docker rmi blob >/dev/null
eventually "the store is tidy" 10 store_has_no_leftovers
layers=$(layers_on_disk)
layers_are_as_before() { [[ $(layers_on_disk) == "$layers" ]]; }
mkfifo "$SCRATCH/half"
docker load --quiet <"$SCRATCH/half" >/dev/null 2>&1 &
load=$!
exec {half}>"$SCRATCH/half"
head --bytes 15000000 "$SCRATCH/blob.tar" >&"$half"
kill_overlayd
# Closed before overlayd starts, which would inherit it and keep the archive from ending.
exec {half}>&-
start_overlayd
wait "$load" || true
same "no image came of the cut load" "" "$(docker images --quiet blob)"
eventually "and no layer" 30 layers_are_as_before
succeeds "the whole archive loads" docker load --quiet --input "$SCRATCH/blob.tar"
same "with the right content" "$(sha256sum <"$context/blob")" "$(run blob cat /blob | sha256sum)"
