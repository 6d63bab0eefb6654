# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# overlayd by hand as the README says, and what Docker shows of errors as docs/troubleshooting.md explains it
# needs: process
# slow: a minute and a half, in which the engine waits for an overlayd that is away

# COMMAND must fail with MESSAGE, in which <> stands for what differs, and the page must have it.
explained() { # NAME MESSAGE COMMAND...
  local name=$1 message=$2 constant
  shift 2
  if ! grep -qF -- "\`$message" "$ROOT/docs/troubleshooting.md"; then
    fail "$name" "docs/troubleshooting.md does not have: $message"
    return
  fi
  constant=$(sed -E "s/'?<[^>]*>'?/\n/g" <<<"$message" |
    awk 'length > length(longest) { longest = $0 } END { print longest }')
  allow_error "$constant"
  fails_with "$name" "$constant" "$@"
}

# --- an engine without overlayd
mkdir -p "$(data_root)"
engine_log() { # [ARG...]
  : >"$DOCKERD_LOG"
  (start_dockerd "$@") >/dev/null 2>&1 && return
  sed 's/\\"/"/g' "$DOCKERD_LOG"
  return 1
}
explained "an engine without overlayd ends" 'error initializing graphdriver: driver not supported' engine_log
explained "and says why" 'plugin "overlayd" not found' engine_log

# --- overlayd by hand, on a machine where it never was
rmdir "$(dirname "$PLUGIN_SOCKET")" # the engine's
same "nothing is prepared" "" "$(ls -d "$STATE_DIR" "$(dirname "$PLUGIN_SOCKET")" 2>/dev/null)"
"$OVERLAYD" serve --socket "$PLUGIN_SOCKET" --state-dir "$STATE_DIR" >>"$OVERLAYD_LOG" 2>&1 </dev/null &
# shellcheck disable=SC2034  # read by what ends it
OVERLAYD_PID=$!
eventually "it makes its socket" 10 test -S "$PLUGIN_SOCKET"
explained "an option of another driver" "option '<name>' is unknown" engine_log --storage-opt colour=red
mkdir -p "$SCRATCH"/overlay/{lower,upper,work,merged}
mount -t overlay overlay "$SCRATCH/overlay/merged" \
  -o "lowerdir=$SCRATCH/overlay/lower,upperdir=$SCRATCH/overlay/upper,workdir=$SCRATCH/overlay/work"
explained "a data root in a container" \
  "the home directory lies on an overlayfs, whose upper fs does not support being a layer" \
  engine_log --data-root "$SCRATCH/overlay/merged/data"
umount --recursive --lazy "$SCRATCH/overlay/merged"
start_dockerd
import_busybox busybox >/dev/null
succeeds "with overlayd the engine runs containers" run busybox true

# --- overlayd is away
run_idle removed busybox
layer=$(basename "$(dirname "$(docker inspect --format '{{.GraphDriver.Data.UpperDir}}' removed)")")
container=$(docker inspect --format '{{.Id}}' removed)
stop_overlayd
explained "no container starts" \
  'dial unix /run/docker/plugins/overlayd.sock: connect: no such file or directory' run busybox true
docker rm --force removed >/dev/null
start_overlayd
succeeds "until it is back" run busybox true

# --- what a container left that was removed meanwhile
kept_for() { "$OVERLAYD" ls --json "$(home)" | jq -r ".[] | select(.id == \"$1\") | .user.names[]"; }
same "its layer is listed with the beginning of the container's id" "${container:0:12}" "$(kept_for "$layer")"
stop_dockerd
rm -r "$(data_root)/image/overlayd/layerdb/mounts/$container"
start_dockerd
orphans() { "$OVERLAYD" ls --orphans --json "$(home)" | jq -r '.[].id' | sort; }
same "without the engine's record it is an orphan" "$layer
$layer-init" "$(orphans)"
remove_layer() { # ID
  curl --silent --fail --unix-socket "$PLUGIN_SOCKET" --data "{\"ID\":\"$1\"}" http://overlayd/GraphDriver.Remove
}
succeeds "which can be removed" remove_layer "$layer"
succeeds "with what it lies on" remove_layer "$layer-init"
same "and is gone" "" "$(orphans)"

# --- damage
context=$(new_context damaged <<'END'
FROM busybox
RUN touch /file
END
)
classic_build damaged "$context"
layer=$(docker image inspect --format '{{.GraphDriver.Data.UpperDir}}' damaged)
stop_overlayd
mv "$layer" "$SCRATCH/diff"
allow_error "is damaged: it has no 'diff' directory"
start_overlayd
explained "a layer without its files" "layer '<id>' is damaged and can only be removed" run damaged true
stop_overlayd
mv "$SCRATCH/diff" "$layer"
start_overlayd
succeeds "which has them again" run damaged true

# --- the store is hidden, or away
mount -t tmpfs none "$(home)"
explained "something is mounted over the store" \
  "the home directory is hidden by something mounted over it, or was replaced" run busybox true
umount "$(home)"
remove_layer "$(orphans)" >/dev/null # which the engine leaves when a mount fails
stop_overlayd
mv "$(home)" "$SCRATCH/elsewhere"
start_overlayd
explained "the store is gone" "home '<home>' is not there any more" run busybox true
mv "$SCRATCH/elsewhere" "$(data_root)/overlayd"
stop_overlayd
start_overlayd
succeeds "and is back" run busybox true
