# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# overlayd ls, tree, show, du and status on a store at work, at rest, and on Docker's own
# needs: process
begin_scenario

layer_of() { basename "$(dirname "$(docker inspect --format '{{.GraphDriver.Data.UpperDir}}' "$1")")"; }
look() { "$OVERLAYD" "$1" --json "$(home)" "${@:2}"; }

make_layers() {
  run_idle running busybox
  classic_build chain "$context"
  docker create --network none --name kept chain cat /one /two >/dev/null
}

context=$(new_context chain <<'END'
FROM busybox
RUN echo one >/one
RUN rm -r /root && mkdir /root && echo two >/two
END
)

# --- what must be true with any driver, the engine at work or not

own_disk() { # ID...
  local id
  for id in "$@"; do
    printf '%s %s %s\n' "$id" "$(du -sx --block-size=1 "$(home)/$id" | cut -f 1)" \
      "$(du -sx --inodes "$(home)/$id" | cut -f 1)"
  done
}

mounted_agree() {
  [[ $(layer_mounts | sed "s|^$(home)/||; s|/merged\$||" | sort) == "$(look ls --mounted | jq -r '.[].id' | sort)" ]]
}

expect_truth() { # WHEN
  local on_disk
  on_disk=$(layers_on_disk)
  same "$1: ls lists the layers on disk" "$on_disk" "$(look ls | jq -r '.[].id' | sort)"
  same "$1: and tree the same" "$(look ls)" "$(look tree)"
  # Not at once: what the engine has just given back is about to be unmounted.
  eventually "$1: mounted are those of the mount table" 10 mounted_agree
  # shellcheck disable=SC2086  # one word per id
  same "$1: du counts each layer as du does" "$(own_disk $on_disk)" \
    "$(look du | jq -r '.layers[] | "\(.id) \(.own.bytes) \(.own.inodes)"' | sort)"
  same "$1: and all of them" "$(own_disk .)" "$(look du | jq -r '.total | ". \(.bytes) \(.inodes)"')"
  same "$1: status counts them" "$(wc -l <<<"$on_disk") 0 0" \
    "$(look status | jq -r '"\(.layers) \(.damages) \(.leftovers)"')"
}

# What the engine says of containers, and the commands of their layers.
expect_agreement() { # CONTAINER
  local id said seen
  id=$(layer_of "$1")
  said=$(docker inspect "$1" | jq -c '.[0].GraphDriver.Data | [.UpperDir, .WorkDir, .MergedDir, .LowerDir]')
  seen=$(look show "${id:0:12}" | jq -c --arg home "$(home)" \
    '[.paths.diff, .paths.work, .paths.merged, (.below | map("\($home)/\(.)/diff") | join(":"))]')
  same "$1: show says what the engine says" "$said" "$seen"
  same "$1: and whose it is" "container $1" "$(look show "$id" | jq -r '"\(.kind) \(.user.names[])"')"
}

expect_to_be_mounted() { # WHERE
  local pid
  pid=$(docker inspect --format '{{.State.Pid}}' running)
  same "$1: show knows who has a layer mounted" "true true" "$(look show "$(layer_of running)" |
    jq -r --argjson pid "$pid" '"\(any(.mounted_on[]; .own_namespace)) \(any(.mounted_on[]; .processes | index($pid)))"')"
}

# With no engine at work.
expect_mountable() { # WHERE ID
  local command merged
  command=$(look show "$2" | jq -r .mount_command)
  merged=$(look show "$2" | jq -r .paths.merged)
  succeeds "$1: the mount command works" sh -c "$command"
  same "$1: and shows the container's files" "one two" "$(cat "$merged"/{one,two} | paste -sd ' ')"
  same "$1: all of them" "busybox" "$(readlink "$merged/bin/ls")"
  umount "$merged"
  rmdir "$merged"
}

# --- overlayd's, at work
make_layers
buildkit_build cached "$context"
expect_truth "at work"
expect_agreement running
expect_agreement kept
expect_to_be_mounted "at work"
held() { look show --state-dir "$STATE_DIR" "$(layer_of "$1")" | jq .holders; }
same "holders are counted" "1 0" "$(held running) $(held kept)"
same "images are named at their topmost layer" "busybox:latest
cached:latest
chain:latest" "$(look ls | jq -r '.[] | select(.kind == "image") | .user.names[]' | grep : | sort)"
same "status knows that it is served" "true true 1" \
  "$(look status | jq -r '"\(.served) \(.overlayd) \(.states.mounted)"')"
same "and by what it mounts" "$(docker info --format '{{json .DriverStatus}}' | jq -r '.[] | select(.[0] == "Mount API")[1]')" \
  "$(look status | jq -r .mount_method)"

# Text, for other programs and for a terminal.
chain=$("$OVERLAYD" tree "$(home)" | grep -F chain:latest)
same "tree names images" 1 "$(wc -l <<<"$chain")"
same "ls has a line for each layer" "$(layers_on_disk)" "$("$OVERLAYD" ls "$(home)" | tail -n +2 | cut -d ' ' -f 1 | sort)"
on_terminal() { # WIDTH COMMAND...
  script --quiet --return --command "stty cols $1; $(printf '%q ' "${@:2}")" /dev/null | tr -d '\r'
}
escape=$'\e'
for command in ls tree du; do
  lines=$(on_terminal 60 "$OVERLAYD" "$command" "$(home)")
  same "$command is in colour on a terminal" true "$([[ $lines == *"${escape}[1m"* ]] && echo true)"
  lines=$(on_terminal 60 env NO_COLOR=1 LC_ALL=C "$OVERLAYD" "$command" "$(home)" 2>/dev/null | sed 's/.*\x1b\[K//')
  same "$command fits it, and may be without colour" "" "$(grep -E "$escape|.{61}" <<<"$lines" | cat -v)"
done

# An orphan.
call_overlayd Create orphaned
same "an orphan is listed" orphaned "$(look ls --orphans | jq -r '.[].id')"
call_overlayd Remove orphaned

# Containers come and go.
while :; do run chain true || break; done &
load=$!
failed=0
for _ in {1..10}; do
  for command in ls tree du status; do
    look "$command" >"$SCRATCH/seen" || failed=1
  done
  look ls --size | jq -e 'all(.state != "damaged")' >/dev/null || failed=1
done
kill "$load"
wait "$load" || true
same "layers that come and go are no damage" 0 "$failed"

# --- at rest
docker image rm cached >/dev/null
docker builder prune --all --force >/dev/null # it would be lost to the other driver
kept=$(layer_of kept)
docker rm --force running >/dev/null
stop_dockerd
stop_overlayd
expect_truth "at rest"
same "at rest: status knows that nobody serves it" "false 0" "$(look status | jq -r '"\(.served) \(.states.mounted)"')"
expect_mountable "at rest" "$kept"
mv "$(home)/$kept/diff" "$SCRATCH/diff"
same "at rest: damage is said, and the rest as well" "damaged it has no 'diff' directory 1" \
  "$(look show "$kept" | jq -r '"\(.state) \(.damage)"') $(look ls | jq '[.[] | select(.state == "damaged")] | length')"
status=0
look status >/dev/null || status=$?
same "at rest: and makes the exit status of status" 1 "$status"
mv "$SCRATCH/diff" "$(home)/$kept/diff"
fails_with "what is no store is not taken for one" "there is no store" "$OVERLAYD" ls "$(data_root)/image"

# --- Docker's own
# shellcheck disable=SC2034  # read by what starts the engine
STORAGE_DRIVER=overlay2
start_dockerd
import_busybox busybox >/dev/null
make_layers
expect_truth "overlay2"
expect_agreement running
expect_agreement kept
expect_to_be_mounted "overlay2"
same "overlay2: status knows whose it is" "false false" "$(look status | jq -r '"\(.served) \(.overlayd)"')"
kept=$(layer_of kept)
docker rm --force running >/dev/null
stop_dockerd
expect_truth "overlay2 at rest"
expect_mountable "overlay2 at rest" "$kept"
same "overlay2: nothing was added to it" "" "$(find "$(home)" -maxdepth 1 -name '.*')"
start_dockerd
same "overlay2: the container is as it was" "one two" "$(docker start --attach kept | paste -sd ' ')"
remove_everything
stop_dockerd

# --- and back
# shellcheck disable=SC2034
STORAGE_DRIVER=overlayd
start_overlayd
start_dockerd
same "the container is as it was" "one two" "$(docker start --attach kept | paste -sd ' ')"
