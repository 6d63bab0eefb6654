#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A short run of the crash explorer on each file system: the store must keep its promise on every image, and
# the explorer must find what is wrong with a store that syncs nothing. Prints "ok" or "not ok" per case.
#
#   tests/crash/run.sh [FILTER]
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/common.sh"

main() {
  local fs
  for fs in ext4 xfs; do
    run_case "nothing that answered is lost or torn by a power cut on $fs" 0 "${1:-}" \
      --fs "$fs" --images 300
    run_case "nothing is lost or torn with syncfs on $fs" 0 "${1:-}" \
      --fs "$fs" --images 150 --durability syncfs
    run_case "what a store that syncs nothing loses on $fs is found" 1 "${1:-}" \
      --fs "$fs" --images 100 --durability none
  done
}

run_case() { # NAME STATUS FILTER ARG...
  local name=$1 expected=$2 status=0 output
  [[ $name == *$3* ]] || return 0
  output=$("$ROOT/scripts/crash" "${@:4}" --seed 1) || status=$?
  # Whatever the status says, there must have been something to judge.
  if ((status == expected)) && grep -qE '^recordings [1-9][0-9]* images [1-9]' <<<"$output"; then
    say "ok $name ($(tail -n 1 <<<"$output"))"
  else
    say "not ok $name"$'\n'"$output"
  fi
}

main "$@"
