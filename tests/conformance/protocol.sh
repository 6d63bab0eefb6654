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
source "$HERE/plugin.sh"

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
  start_plugin
  local home=$SCRATCH/home
  # Only a plugin that was just started has not had an Init.
  local status=0
  [[ before-init != *"${1:-}"* ]] || run_script "$PLUGIN_SOCKET" "$home" before-init || status=1
  run_scripts "$PLUGIN_SOCKET" "$home" "${1:-}" || status=1
  ((status == 0)) || show_logs 20
  return "$status"
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
