# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# overlayd adopt and release: an engine's images, containers and build cache move to overlayd and back, whole
# needs: process
# shellcheck disable=SC2034  # read by what starts the engine
STORAGE_DRIVER=overlay2
begin_scenario
root=$(data_root)

adopt() { "$OVERLAYD" adopt "$@" "$root"; }
release() { "$OVERLAYD" release "$root"; }

start_on() { # DRIVER
  STORAGE_DRIVER=$1
  start_overlayd
  start_dockerd
}
stop_both() {
  stop_dockerd
  stop_overlayd
}

# All that people have of it: images to the byte, containers with their changes and their files.
everything() {
  local name
  docker image ls --all --no-trunc --format '{{.ID}} {{.Repository}}:{{.Tag}} {{.Size}}' | sort
  for name in $(docker image ls --format '{{.Repository}}' | sort); do
    # Newer engines put the time of the save into its headers.
    printf '%s %s\n' "$name" "$(docker save "$name" | tar --extract --to-stdout | sha256sum)"
  done
  for name in $(docker ps --all --format '{{.Names}}' | sort); do
    docker inspect --size --format '{{.Name}} {{.Image}} {{.Path}} {{.State.ExitCode}} {{.SizeRw}} {{.SizeRootFs}}' "$name"
    docker diff "$name" | LC_ALL=C sort -k 2
    # 26.1 never lets go of what it exported.
    [[ $ENGINE != 20.10 ]] || docker export "$name" | sha256sum
  done
  docker volume ls --format '{{.Name}}'
}

# Names, types, owners and modes of all that is in the data root, and what the engine knows of it; not what
# engines renew at each start, and not times.
tree() {
  find "$root"/{overlay2,image,containers} -printf '%P %y %m %U:%G %l\n' | sort
  (cd "$root" && find image containers -type f -print0 | sort -z | xargs -0 sha256sum)
}

context=$(new_context chain <<'EOF'
FROM busybox
RUN mkdir -p /d/e && echo one >/d/e/f && echo one >/one
RUN rm -r /d && mkdir /d && echo two >/d/g
RUN setfattr -n user.x -v y /one 2>/dev/null; ln /one /two; chmod 4755 /d/g
EOF
)
classic_build classic "$context"
buildkit_build cached "$context"
docker run --network none --name stopped --volume kept:/v classic sh -c 'echo three >/three; rm /one; echo v >/v/f; exit 3' || true
docker create --network none --name created cached cat /d/g >/dev/null
run_idle running classic
docker exec running sh -c 'rm -r /d && mkdir /d && echo four >/d/h && mv /bin/vi /vi'

# --- refused while it is in use, with nothing changed
fails_with "an engine that runs is not robbed" "an engine is running on '$root'" adopt
kill_dockerd
before=$(tree)
fails_with "nor a container that runs without its engine" "container 'running' is running" adopt
same "with nothing changed" "$before" "$(tree)"
start_dockerd
docker stop running >/dev/null
ids=$(everything)
stop_dockerd

# --- adopt
before=$(tree)
fails_with "there is nothing to release yet" "nothing to release" release
same "a dry run says what would be done" "would rename '$root/image/overlay2' to '$root/image/overlayd'
would rename '$root/overlay2', with $(find "$root/overlay2" -mindepth 1 -maxdepth 1 -type d -not -name l | wc -l) layers, to '$root/overlayd'
would make 3 containers those of driver 'overlayd'" "$(adopt --dry-run)"
same "and does nothing" "$before" "$(tree)"
succeeds "adopt" adopt
same "takes all of it" "" "$(find "$root" -maxdepth 2 -name overlay2)"
fails_with "once" "nothing to adopt" adopt
succeeds "and back" release
same "release gives back the very same" "$before" "$(tree)"

# --- killed at each rename, it goes on, or back
killed_at() { # SYSCALL N COMMAND
  ! { strace -f -qq -o /dev/null -e "trace=$1" -e "inject=$1:signal=KILL:when=$2" \
    "$OVERLAYD" "$3" "$root" >/dev/null; } 2>/dev/null
}
renames=0
for syscall in renameat renameat2; do # the second one refuses what is there
  for ((count = 1; ; count++)); do
    killed_at "$syscall" "$count" adopt || break
    renames=$((renames + 1))
    release >/dev/null 2>&1 || true # the first one is that of the record: nothing has begun
    same "adopt killed at rename $renames can be taken back" "$before" "$(tree)"
    killed_at "$syscall" "$count" adopt || break
    succeeds "killed there again it goes on" adopt
    same "to its end" "" "$(find "$root" -maxdepth 2 \( -name overlay2 -o -name 'overlayd-move*' \))"
    release >/dev/null
  done
  release >/dev/null
done
same "one for the record, one for each container and two for images and layers" 6 "$renames"
same "and all is as it was" "$before" "$(tree)"

# --- all is there on overlayd, and works; an engine does not start while a move holds its lock
adopt >/dev/null
STORAGE_DRIVER=overlayd
start_overlayd
exec {lock}<"$root/volumes/metadata.db"
flock "$lock"
fails_with "no engine starts during a move" "dockerd did not start" start_dockerd
same "because of what the move has locked" 1 "$(grep -c 'volume store metadata database.*: timeout' "$DOCKERD_LOG")"
exec {lock}<&-
start_dockerd
same "on overlayd the engine has the same images, containers, changes and files" "$ids" "$(everything)"
same "the store is sound" 0 "$("$OVERLAYD" check --json --layerdb "$root/image/overlayd/layerdb" "$root/overlayd" | jq '.findings + .orphans | length')"
docker start running >/dev/null
same "a container starts again and goes on writing" "h four five" \
  "$(docker exec running sh -c 'echo five >/five; echo $(ls /d) $(cat /d/h) $(cat /five)')"
same "one that never ran does" "two" "$(docker start --attach created)"
same "its volume is there" "v" "$(run --volume kept:/v busybox cat /v/f)"
same "the build cache is, too" 3 "$(DOCKER_BUILDKIT=1 docker build --progress plain --network none --tag cached "$context" 2>&1 | grep -c ' CACHED$')"
same "with both builders" 3 "$(DOCKER_BUILDKIT=0 docker build --network none --tag classic "$context" 2>&1 | grep -c 'Using cache')"
context=$(new_context more <<'EOF'
FROM cached
RUN echo new >/new && rm /two
EOF
)
classic_build more "$context"
buildkit_build more-cached "$context"
docker run --network none --name made more sh -c 'echo made >/made; rm /new'
fails_with "what runs is not given back" "an engine is running on '$root'" release
docker stop running >/dev/null
ids=$(everything)
stop_dockerd
fails_with "nor what overlayd serves" "overlayd serves '$root/overlayd': stop it first" release
stop_overlayd

# --- release
succeeds "while a move is under way" killed_at renameat2 2 release
STORAGE_DRIVER=overlayd
start_overlayd
allow_error "is not there any more"
allow_error "a move between drivers was interrupted"
fails_with "overlayd serves nothing" "a move between drivers was interrupted, as '$root/overlayd-move.json' says" \
  curl --silent --unix-socket "$PLUGIN_SOCKET" --data "{\"Home\":\"$root/overlayd\",\"Opts\":[]}" --fail-with-body http://plugin/GraphDriver.Init
stop_overlayd
succeeds "release goes on" release
start_on overlay2
same "on its own driver the engine has all, with what was made meanwhile" "$ids" "$(everything)"
docker start running >/dev/null
same "and containers go on" "four five six" "$(docker exec running sh -c 'echo six >/six; echo $(cat /d/h /five /six)')"
docker stop running >/dev/null
same "nothing of overlayd's is left" "" \
  "$(find "$root" -maxdepth 2 -name '*overlayd*'; find "$root/overlay2" -maxdepth 2 -name digests -o -name partial -o -name size)"
ids=$(everything)
stop_dockerd

# --- an engine that was started in between on a driver that had moved makes way
succeeds "adopt again" adopt
start_dockerd
same "on the driver that has nothing there is nothing" "" "$(docker image ls --quiet; docker ps --all --quiet)"
stop_dockerd
succeeds "what it has made is no obstacle" release
succeeds "adopt once more" adopt
start_on overlayd
same "all is there" "$ids" "$(everything)"
