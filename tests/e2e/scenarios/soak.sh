# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# overlayd is killed every few seconds while the engine builds, runs, commits and removes: nothing is lost or leaked
# needs: process
# slow: ten minutes; SOAK_SECONDS=N takes N
begin_scenario

SOAK_SECONDS=${SOAK_SECONDS:-600}
WORKERS=2
# The last fifth passes without a kill: what one overlayd accumulates shows only while it lives.
KILLING_SECONDS=$((SOAK_SECONDS * 4 / 5))

# The engine sends a call again when its answer was lost, but the second time without its body.
allow_error "request body is empty"
# And what was made by a call whose answer was lost is there when it calls again.
allow_error "exists already"
# It sends an ApplyDiff again too, with what is left of the tar, also to a layer that has it all.
allow_error "request body ended before its announced end"
allow_error "did not finish"
allow_error "has content already"

# A call that was under way when overlayd was killed may fail; trying again must work.
retry() { # COMMAND...
  local _
  for _ in {1..8}; do
    "$@" >>"$SCRATCH/retries.log" 2>&1 && return
    sleep 0.3
  done
  return 1
}

# A name may be left over from the try before.
run_and_commit() { # NAME IMAGE TEXT
  remove_container "$1" &&
    docker run --network none --name "$1" "$2" sh -c "echo $3 >/text && mkdir /more && seq 1000 >/more/numbers && rm -r /a" &&
    docker commit "$1" "$1"
}

# The try before may have done it.
remove_container() { # NAME
  [[ -z $(docker ps --all --quiet --filter "name=^$1\$") ]] || docker rm --force "$1"
}
remove_image() { # NAME
  [[ -z $(docker images --quiet "$1") ]] || docker rmi --force "$1"
}

# Image w$1.$2 from a build and a commit. What is reported done is written down.
one_round() { # WORKER ROUND
  local name=w$1.$2 context=$SCRATCH/context-w$1
  printf 'FROM busybox\nRUN mkdir /a && seq 500 >/a/b && echo %s >/built\nRUN echo %s >>/built\n' \
    "$name" "$name" >"$context/Dockerfile"
  retry classic_build "$name-base" "$context" || return
  retry run_and_commit "$name" "$name-base" "$name" || return
  echo "$name" >>"$SCRATCH/done.w$1"
  retry remove_container "$name" || return
  # Two of three are removed again: images disappear while others are being made.
  if (($2 % 3 > 0)); then
    sed -i "/^$name\$/d" "$SCRATCH/done.w$1"
    retry remove_image "$name" && retry remove_image "$name-base" || return
  fi
}

work() { # WORKER
  local round=0
  mkdir -p "$SCRATCH/context-w$1"
  while [[ ! -e $SCRATCH/enough ]]; do
    round=$((round + 1))
    one_round "$1" "$round" || echo "w$1.$round" >>"$SCRATCH/failed"
  done
  echo "$round" >"$SCRATCH/rounds.w$1"
}

content_of() { # IMAGE
  # shellcheck disable=SC2016  # for the container's shell
  run "$1" sh -c 'echo $(cat /text /built) $(tail -n 1 /more/numbers) $(ls /a 2>&1)'
}

# Beside these is what it was about to write when it failed. When it removes a container while overlayd is away, it
# forgets the container and keeps the record of its layers, which it never looks at again.
known_layers() {
  local layerdb container
  layerdb=$(data_root)/image/overlayd/layerdb
  {
    find "$layerdb/sha256" -name cache-id
    for container in $(docker ps --all --quiet --no-trunc); do
      find "$layerdb/mounts/$container" -name mount-id -o -name init-id
    done
  } | xargs --no-run-if-empty awk 1 | sort -u
}
lost_layers() { comm -23 <(layers_on_disk) <(known_layers); }

used_by_overlayd() { # descriptors, threads, kilobytes
  printf '%s %s %s\n' "$(find "/proc/$OVERLAYD_PID/fd" -mindepth 1 | wc -l)" \
    "$(find "/proc/$OVERLAYD_PID/task" -mindepth 1 -maxdepth 1 | wc -l)" \
    "$(awk '/^RssAnon/ { print $2 }' "/proc/$OVERLAYD_PID/status")"
}

run_idle keeper busybox
docker exec keeper sh -c 'echo kept >/log'
workers=()
for ((w = 1; w <= WORKERS; w++)); do
  : >"$SCRATCH/done.w$w"
  work "$w" &
  workers+=($!)
done

kills=0 keeper_seen=0
began=$SECONDS
while ((SECONDS - began < KILLING_SECONDS)); do
  sleep "$((1 + RANDOM % 4)).$((RANDOM % 10))"
  kill_overlayd
  start_overlayd
  kills=$((kills + 1))
  [[ $(docker exec keeper cat /log) == kept ]] && keeper_seen=$((keeper_seen + 1))
done
same "a running container has its files after each of $kills kills" "$kills" "$keeper_seen"

# Long enough for every kind of call to have been made.
sleep $((SOAK_SECONDS / 20))
read -r descriptors threads memory < <(used_by_overlayd)
while ((SECONDS - began < SOAK_SECONDS)); do
  sleep 1
done
touch "$SCRATCH/enough"
for worker in "${workers[@]}"; do
  wait "$worker" || true
done

say "# $kills kills, $(awk '{ sum += $1 } END { print sum }' "$SCRATCH"/rounds.w*) rounds, $(cat "$SCRATCH"/done.w* | wc -l) images kept"
same "every round came to its end" "" "$(cat "$SCRATCH/failed" 2>/dev/null)"
wrong=""
while read -r image; do
  text=$(content_of "$image" 2>&1) || true
  [[ $text == "$image $image $image 1000 ls: /a: No such file or directory" ]] || wrong+="$image: $text"$'\n'
done < <(cat "$SCRATCH"/done.w*)
same "every image that was reported done is there, whole" "" "$wrong"
# A Put whose answer was lost is repeated without saying of what.
keeper_layer=$(basename "$(dirname "$(docker inspect --format '{{.GraphDriver.Data.UpperDir}}' keeper)")")
mounted=$(layer_mounts | sed -n 's|^.*/\([^/]*\)/merged$|\1|p' | sort)
same "of the layers that the engine has not lost the running container's is mounted" "$keeper_layer" \
  "$(comm -23 <(printf '%s\n' "$mounted") <(lost_layers))"
say "# descriptors, threads, kilobytes: $descriptors $threads $memory, then $(used_by_overlayd)"
not_more() { # descriptors and threads, give or take a connection; 2 MB
  local now
  read -ra now < <(used_by_overlayd)
  ((now[0] <= descriptors + 4 && now[1] <= threads + 4 && now[2] <= memory + 2048))
}
eventually "overlayd uses no more than a fifth of the time ago" 10 not_more
docker rm --force keeper >/dev/null

# Layers whose removal failed are removed by the engine's next start. What a call made whose answer was lost, the
# engine forgets.
stop_dockerd
start_dockerd
lost=$(lost_layers)
say "# the engine lost $(grep -c . <<<"$lost" || true) layers"
for id in $lost; do
  call_overlayd Remove "$id"
done

# Nor does it give back the layers of an image that it could not finish: its layer store has them, and no image.
remove_everything
kept=$(known_layers)
say "# the engine keeps $(grep -c . <<<"$kept" || true) layers of nothing"
for id in $kept; do
  call_overlayd Remove "$id"
done
