# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# the engine stops cleanly, or is killed, and starts again: containers and images are as before
begin_scenario

mounted() { layer_mounts | grep -c . || true; }

# A managed plugin goes down with it: the engine ends one that outlived it and starts it again, and at times, in a
# race of its own, then unmounts what it shares with the new one.
kill_engine() {
  kill_dockerd
  [[ $WAY == legacy ]] || end_plugin
}

docker run --network none --name stopped busybox sh -c 'echo kept >/kept'
run_idle running busybox
docker exec running sh -c 'echo before >/log'

# --- a clean stop
stop_dockerd
same "a clean stop leaves no layer mounted" "" "$(layer_mounts)"
start_dockerd
same "both containers are there" "running exited
stopped exited" "$(docker ps --all --format '{{.Names}} {{.State}}' | sort)"
same "their changes are there" "A /kept
A /log" "$(changes_of stopped; changes_of running)"
docker start running >/dev/null
same "a container starts again with its files" "before" "$(docker exec running cat /log)"
docker exec running sh -c 'echo after >>/log'

# --- killed, while one container runs
kill_engine
# Its containerd is killed with it, the container and its mount survive that.
start_dockerd
# Without live-restore the engine ends what it finds running.
same "the killed engine's container is ended" "exited" "$(docker inspect --format '{{.State.Status}}' running)"
eventually "and its layer is unmounted" 10 nothing_is_mounted
docker start running >/dev/null
same "it starts again with all it wrote" "before after" "$(docker exec running sh -c 'echo $(cat /log)')"
same "with exactly one layer mounted" 1 "$(mounted)"

# --- killed in the middle of a build
context=$(new_context slow <<'END'
FROM busybox
RUN echo first >/first
RUN touch /building && sleep 60
END
)
classic_build slow "$context" >"$SCRATCH/build.log" 2>&1 &
build=$!
building() { [[ $(docker ps --format '{{.Command}}' | grep -c 'touch') == 1 ]]; }
wait_for 30 building
kill_engine
wait "$build" || true
start_dockerd
same "no image came of the killed build" "" "$(docker images --quiet slow)"
printf 'FROM busybox\nRUN echo first >/first\nRUN echo second >/second\n' >"$context/Dockerfile"
succeeds "the next build works" classic_build slow "$context"
same "with the right content" "first second" "$(run slow sh -c 'echo $(cat /first /second)')"

# --- killed in the middle of a load
head --bytes 20000000 /dev/urandom >"$context/blob"
printf 'FROM busybox\nCOPY blob /blob\n' >"$context/Dockerfile"
classic_build blob "$context"
docker save --output "$SCRATCH/blob.tar" blob
docker rmi blob >/dev/null
layers=$(layers_on_disk)
# The archive arrives in two parts, and the engine is killed between them.
mkfifo "$SCRATCH/half"
docker load --quiet <"$SCRATCH/half" >/dev/null 2>&1 &
load=$!
exec {half}>"$SCRATCH/half"
head --bytes 15000000 "$SCRATCH/blob.tar" >&"$half"
kill_engine
exec {half}>&-
wait "$load" || true
start_dockerd
same "no image came of the cut load" "" "$(docker images --quiet blob)"
same "and no layer" "$layers" "$(layers_on_disk)"
succeeds "the whole archive loads" docker load --quiet --input "$SCRATCH/blob.tar"
same "with the right content" "$(sha256sum <"$context/blob")" "$(run blob cat /blob | sha256sum)"
