#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What docs/protocol.md says, asked over the socket: the scripts of protocol/, one for each endpoint and each kind of
# failure, in bash, curl and jq. Prints TAP.
#
#   tests/conformance/protocol.sh [FILTER]                      starts OVERLAYD (build/release/overlayd); with
#                                                               WAY=managed an ENGINE does, as a managed plugin
#   tests/conformance/protocol.sh --socket PATH HOME [FILTER]   any plugin that is already running and mounts where this
#                                                               shell can see it; HOME is where it is to keep layers
#
# FILTER is part of a script's name. Each script can be run alone as well: protocol/lib.sh says how.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$HERE/../../scripts/lib/common.sh"
source "$HERE/../../scripts/lib/sandbox.sh"
source "$HERE/../../scripts/lib/engine.sh"

main() {
  need_command curl jq
  if [[ ${1:-} == --socket ]]; then
    run_scripts "${2:?--socket needs a path}" "${3:?--socket needs a home}" "${4:-}"
    return
  fi
  need_root "the plugin mounts layers"
  [[ -n ${OVERLAYD_SANDBOX:-} ]] || need_engine
  enter_sandbox "$@"
  prepare_engine_root
  trap stop_everything EXIT
  export EXACT=1
  "start_$WAY"
  # Only a plugin that was just started has not had an Init.
  local status=0
  [[ before-init != *"${1:-}"* ]] || run_script "$PLUGIN_SOCKET" "$HOME_DIR" before-init || status=1
  run_scripts "$PLUGIN_SOCKET" "$HOME_DIR" "${1:-}" || status=1
  ((status == 0)) || show_logs 20
  return "$status"
}

start_legacy() {
  start_overlayd
  HOME_DIR=$SCRATCH/home
}

# An engine runs it, but does not store with it.
start_managed() {
  local pid
  source "$ROOT/tests/e2e/managed.sh"
  mkdir -p "$(data_root)"
  make_bundle "$SCRATCH/bundle"
  on_builtin_driver
  quietly docker plugin create overlayd "$SCRATCH/bundle"
  quietly docker plugin enable overlayd
  pid=$(plugin_pid)
  PLUGIN_SOCKET=$(echo /run/docker/plugins/*/overlayd.sock)
  HOME_DIR=$(jq -r .PropagatedMount "$ROOT/config.json")/home
  export PLUGIN_ROOT=/proc/$pid/root
}

run_scripts() { # SOCKET HOME FILTER
  local name status=0 matched=0
  for name in "$HERE"/protocol/*.sh; do
    name=$(basename "$name" .sh)
    [[ $name != lib && $name != before-init && $name == *"$3"* ]] || continue
    matched=$((matched + 1))
    run_script "$1" "$2" "$name" || status=1
  done
  ((matched > 0)) || [[ before-init == *"$3"* ]] || die "no script matches '$3'"
  return "$status"
}

run_script() { # SOCKET HOME NAME
  say "# $3"
  "$HERE/protocol/$3.sh" "$1" "$2"
}

main "$@"
