# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Docker's own test of external graph drivers, with the calls that it counts, for each way to find a plugin
#
# That is integration/plugin/graphdriver/external_test.go among Docker's sources, which has a plugin of its own
# count its calls; here they are counted in overlayd's log. A scenario for tests/e2e/run.sh.

# The test's helper asks a daemon that it started where its data is.
start_and_ask() {
  start_dockerd
  docker info >/dev/null
}

run_the_test() { # NAME ACTIVATIONS
  : >"$OVERLAYD_LOG"
  : >"$DOCKERD_LOG"
  start_and_ask
  import_busybox busybox >/dev/null
  docker run --network none --name hello busybox sh -c 'echo hello >/hello'
  stop_dockerd
  start_and_ask
  same "$1: a container is on the driver" "$STORAGE_DRIVER" "$(docker inspect --format '{{.GraphDriver.Name}}' hello)"
  same "$1: its changes are seen" "A /hello" "$(changes_of hello)"
  docker rm --force hello >/dev/null
  docker info >/dev/null
  stop_dockerd
  same "$1: the calls that are counted" \
    "Activate $2, Init 2, Status 5, Cleanup 2, Changes 1, DiffSize 0, Diff 0, GetMetadata 1" \
    "$(counts_of Activate Init Status Cleanup Changes DiffSize Diff GetMetadata)"
  same "$1: and the others that must have been made" "Create CreateReadWrite Remove Get Put ApplyDiff" \
    "$(counts_of Create CreateReadWrite Remove Get Put ApplyDiff | tr -d ',' | sed -E 's/ [1-9][0-9]*//g')"
}

counts_of() { # CALL...
  local call text=""
  for call in "$@"; do
    text+=", $call $(overlayd_log | grep -cE " (debug|error): (GraphDriver|Plugin)\.$call " || true)"
  done
  printf '%s' "${text#, }"
}

if [[ $WAY == managed ]]; then
  begin_scenario
  on_builtin_driver
  docker plugin disable overlayd >/dev/null
  docker plugin set overlayd OVERLAYD_LOG_LEVEL=debug
  docker plugin enable overlayd >/dev/null
  stop_dockerd
  STORAGE_DRIVER=overlayd
  # A managed plugin is told by its manifest, and not asked.
  run_the_test "managed" 0
  start_dockerd
else
  own_etc
  mkdir -p "$(data_root)" "$ETC/docker/plugins"
  for found in socket spec json; do
    case $found in
      socket) ;;
      spec) echo "unix:///run/elsewhere/overlayd.sock" >"$ETC/docker/plugins/overlayd.spec" ;;
      json)
        rm "$ETC/docker/plugins/overlayd.spec"
        echo '{"Name": "overlayd", "Addr": "unix:///run/elsewhere/overlayd.sock"}' >"$ETC/docker/plugins/overlayd.json"
        ;;
    esac
    [[ $found == socket ]] || PLUGIN_SOCKET=/run/elsewhere/overlayd.sock
    mkdir -p "$(dirname "$PLUGIN_SOCKET")"
    start_overlayd --log-level debug
    run_the_test "$found" 2
    [[ $found == json ]] || stop_overlayd
  done
  start_dockerd
fi
