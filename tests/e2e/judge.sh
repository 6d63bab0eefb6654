#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs those scenarios that record facts (facts.sh) on Docker's own overlay2 driver and on overlayd, and compares
# what Docker says about both, fact by fact. Whatever differs must be explained in judge/compare.py.
#
#   tests/e2e/judge.sh [FILTER]      scenarios as in run.sh; prints TAP
#
# OVERLAYD names the binary; scripts/lib/engine.sh says more.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$HERE/../../scripts/lib/common.sh"

main() {
  local file name matched=0 failed=0
  need_root "it runs Docker engines"
  need_command python3
  OUTPUT=$(mktemp -d "${TMPDIR:-/tmp}/overlayd-judge.XXXXXX")
  trap 'rm -rf "$OUTPUT"' EXIT
  for file in "$HERE"/scenarios/*.sh; do
    name=$(basename "$file" .sh)
    [[ $name == *"${1:-}"* ]] || continue
    grep -qE '^ *record(_[a-z]+)? ' "$file" || continue
    matched=$((matched + 1))
    ((${#RUNNING[@]} < AT_ONCE)) || await_judgement || failed=$((failed + 1))
    mkdir "$OUTPUT/$name"
    judge "$name" "$OUTPUT/$name" >"$OUTPUT/$name/said" 2>&1 &
    RUNNING[$!]=$name
  done
  while ((${#RUNNING[@]} > 0)); do
    await_judgement || failed=$((failed + 1))
  done
  ((matched > 0)) || die "no scenario that records facts matches '${1:-}'"
  ((failed == 0))
}

# Half of the time is waiting for engines, hence several scenarios at once, and each on both drivers; what is
# said of one comes whole.
AT_ONCE=2
declare -A RUNNING=() # by pid: the scenario

await_judgement() {
  local pid status=0
  wait -n -p pid "${!RUNNING[@]}" || status=1
  cat "$OUTPUT/${RUNNING[$pid]}/said"
  unset "RUNNING[$pid]"
  return "$status"
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
