#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The judge: random histories of layers, the same ones on Docker's own overlay2 driver and on overlayd
# (OVERLAYD, build/release/overlayd) behind Docker's own plugin client. Whatever the two say about them is
# compared, and every difference must be one of the improvements named in judge/improvements.go.
#
#   tests/conformance/judge.sh [COUNT [SEED [FLAG...]]]
#
# COUNT histories (default 250, less than a minute) from SEED (default 1) on; odd seeds have id maps. A
# failure names its seed: `judge.sh 1 SEED -v` runs that one again and tells what it did. A night's run is
# `judge.sh 100000 $RANDOM`: some four hours on two processors.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$HERE/../../scripts/lib/common.sh"
source "$HERE/../../scripts/lib/sandbox.sh"
source "$HERE/../../scripts/lib/docker-sources.sh"

JUDGE=$DOCKER_SOURCES/judge

main() {
  need_root "both drivers mount layers"
  if [[ -z ${OVERLAYD_SANDBOX:-} ]]; then
    fetch_docker_sources "$HERE/graphtest/missing" "$HERE/judge/missing"
    go_among_docker_sources "$HERE/judge" build -o "$JUDGE" .
  fi
  enter_sandbox "$@"
  source "$ROOT/scripts/lib/engine.sh"
  trap stop_everything EXIT
  start_overlayd
  mkdir -p "$SCRATCH/homes"
  # Docker's driver looks for a place for its temporary files itself.
  if ! TMPDIR=$SCRATCH "$JUDGE" -socket "$PLUGIN_SOCKET" -home "$SCRATCH/homes" \
    -count "${1:-250}" -seed "${2:-1}" "${@:3}"; then
    [[ " ${*:3} " == *" -v "* ]] || show_logs 10
    return 1
  fi
}

main "$@"
