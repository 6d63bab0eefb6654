#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Docker's own storage driver tests, run through Docker's own plugin client against a plugin's socket.
#
#   tests/conformance/graphtest.sh [FILTER]                 starts OVERLAYD (build/release/overlayd); with
#                                                           WAY=managed an ENGINE does, as a managed plugin
#   tests/conformance/graphtest.sh --socket PATH [FILTER]   any plugin that is already running and mounts
#                                                           where this shell can see it
#
# FILTER is a regular expression over test names.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$HERE/../../scripts/lib/common.sh"
source "$HERE/../../scripts/lib/sandbox.sh"
source "$HERE/../../scripts/lib/docker-sources.sh"
source "$HERE/../../scripts/lib/engine.sh"
source "$HERE/plugin.sh"

TEST_BINARY=$DOCKER_SOURCES/graphtest.test

main() {
  need_root "the tests mount layers"
  if [[ -z ${OVERLAYD_SANDBOX:-} ]]; then
    fetch_docker_sources "$HERE/graphtest/missing"
    go_among_docker_sources "$HERE/graphtest" test -c -o "$TEST_BINARY" .
  fi
  if [[ ${1:-} == --socket ]]; then
    local socket=${2:?--socket needs a path}
    SCRATCH=$(mktemp -d "${TMPDIR:-/var/tmp}/overlayd.XXXXXX")
    trap 'rm -rf --one-file-system "$SCRATCH"' EXIT
    run_tests "$socket" "${3:-.}"
    return
  fi
  [[ -n ${OVERLAYD_SANDBOX:-} ]] || need_engine
  enter_sandbox "$@"
  prepare_engine_root
  trap stop_everything EXIT
  start_plugin
  if ! run_tests "$PLUGIN_SOCKET" "${1:-.}"; then
    show_logs 40
    return 1
  fi
  check_nothing_is_mounted
}

run_tests() { # SOCKET FILTER
  mkdir -p "$SCRATCH/homes"
  # Setup and Teardown hold the driver for all the tests between them.
  local filter="^Test(Setup|Teardown)\$|$2" output=$SCRATCH/graphtest.out
  if ! (cd "$SCRATCH" && PLUGIN_SOCKET=$1 TMPDIR=$SCRATCH/homes "$TEST_BINARY" -test.v -test.run "$filter" 2>&1) |
    tee "$output"; then
    return 1
  fi
  # Go also calls it a success when nothing matched, or every test skipped itself.
  if (($(grep -c -e '^--- PASS' "$output") <= 2)); then
    say "graphtest: no test matches '$2'"
    return 1
  fi
  if grep -q -e '^--- SKIP' "$output"; then
    say "graphtest: skipped tests count as failed"
    return 1
  fi
}

check_nothing_is_mounted() {
  local mounts
  mounts=$(cut -d ' ' -f 5 "/proc/${PLUGIN_PID:-self}/mountinfo" | grep "^$SCRATCH/homes/" || true)
  if [[ -n $mounts ]]; then
    say "--- FAIL: left mounted: $mounts"
    return 1
  fi
  say "--- PASS: NothingLeftMounted"
}

main "$@"
