#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs those scenarios that record facts (facts.sh) on Docker's own overlay2 driver and on overlayd, and compares
# what Docker says about both, fact by fact. Whatever differs must be explained in judge/compare.py.
#
#   tests/e2e/judge.sh [FILTER]      scenarios as in run.sh; prints TAP
#
# AT_ONCE is how many are judged at a time, two if it is not set. OVERLAYD names the binary; scripts/lib/engine.sh
# says more.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$HERE/../../scripts/lib/common.sh"
source "$HERE/at-once.sh"

# Half of the time is waiting for engines, although each scenario runs on both drivers at a time.
AT_ONCE=${AT_ONCE:-2}

main() {
  local file name matched=0
  need_root "it runs Docker engines"
  need_command python3
  OUTPUT=$(mktemp -d "${TMPDIR:-/tmp}/overlayd-judge.XXXXXX")
  trap 'rm -rf "$OUTPUT"' EXIT
  for file in "$HERE"/scenarios/*.sh; do
    name=$(basename "$file" .sh)
    [[ $name == *"${1:-}"* ]] || continue
    grep -qE '^ *record(_[a-z]+)? ' "$file" || continue
    matched=$((matched + 1))
    mkdir "$OUTPUT/$name"
    start_one "$OUTPUT/$name/said" judge "$name" "$OUTPUT/$name"
  done
  await_all
  ((matched > 0)) || die "no scenario that records facts matches '${1:-}'"
  ((BROKEN == 0))
}

judge() { # SCENARIO DIRECTORY
  local bad=0 overlayd
  run_on overlayd "$1" "$2" >"$2/case" &
  overlayd=$!
  run_on overlay2 "$1" "$2" || bad=1
  wait "$overlayd" || bad=1
  cat "$2/case"
  ((bad == 0)) || return 1 # half of the facts are not worth a look
  python3 "$HERE/judge/compare.py" "$1" "${ENGINE:-20.10}" "$2/overlay2" "$2/overlayd"
}

run_on() { # DRIVER SCENARIO DIRECTORY
  : >"$3/$1"
  if STORAGE_DRIVER=$1 FACTS=$3/$1 "$HERE/run.sh" "$2" >"$3/$1.log" 2>&1; then
    say "ok - $2: runs on $1"
  else
    say "not ok - $2: runs on $1"
    sed '/^#/!s/^/# /' "$3/$1.log"
    return 1
  fi
}

main "$@"
