#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs scenarios of scenarios/ with a real Docker engine, each in a sandbox of its own, and prints TAP.
#
#   tests/e2e/run.sh [FILTER]      the scenario of that name, or all whose names contain FILTER; those marked
#                                  "# slow" only by their name
#   tests/e2e/run.sh FILE          a scenario that lies elsewhere
#
# ENGINE=26.1 runs them on Debian 13's engine, WAY=managed with overlayd as a managed plugin, and
# STORAGE_DRIVER=overlay2 with the engine's own driver, to judge the scenarios by. Those that make no sense
# there are left out by name. OVERLAYD names the binary; scripts/lib/engine.sh says more.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$HERE/../../scripts/lib/common.sh"
source "$HERE/../../scripts/lib/sandbox.sh"
source "$HERE/../../scripts/lib/engine.sh"

main() {
  if [[ ${1:-} == --scenario ]]; then
    run_inside "$2"
    return
  fi
  need_root "it mounts file systems and runs a Docker engine"
  need_engine
  need_command busybox curl jq getfattr getcap python3
  run_scenarios "${1:-}"
}

run_scenarios() { # FILTER
  local file name left_out matched=0 failed=0 files=("$HERE"/scenarios/*.sh)
  [[ $1 != */* ]] || files=("$1")
  for file in "${files[@]}"; do
    name=$(basename "$file" .sh)
    if [[ $1 == */* ]]; then
      :
    elif [[ -e $HERE/scenarios/$1.sh ]]; then
      [[ $name == "$1" ]] || continue
    else
      [[ $name == *"$1"* ]] || continue
      if grep -q '^# slow' "$file"; then
        say "# $name: not run, it is slow; tests/e2e/run.sh $name"
        continue
      fi
    fi
    matched=$((matched + 1))
    if left_out=$(reason_to_leave_out "$file"); then
      say "# $name: not run, $left_out"
      continue
    fi
    say "# --- $name: $(sed -n '3s/^# //p' "$file")"
    "$0" --scenario "$file" </dev/null || failed=$((failed + 1))
  done
  ((matched > 0)) || die "no scenario matches '$1'"
  ((failed == 0))
}

# The third line of a scenario may be followed by one that says what it needs:
#   overlayd   the driver, not one of the engine's own
#   process    a process of overlayd that it can stop and start
#   package    nothing: it makes a package for this Debian, and runs the engine of this Debian with it
reason_to_leave_out() { # FILE
  local needs
  needs=$(sed -n '4s/^# needs: //p' "$1")
  if [[ -n $needs ]] && ! uses_overlayd; then
    say "it is about overlayd"
  elif [[ $needs == process ]] && ! runs_overlayd; then
    say "it stops and starts overlayd itself"
  elif [[ $needs == package && "$ENGINE $WAY" != "20.10 legacy" ]]; then
    say "it is about a package for this Debian"
  else
    return 1
  fi
}

run_inside() { # FILE
  enter_sandbox --scenario "$1"
  SCENARIO=$1
  CURRENT=$(basename "$1" .sh)
  prepare_engine_root
  source "$HERE/lib.sh"
  source "$HERE/managed.sh"
  trap finish EXIT
  set -E
  trap 'note_broken_line "$BASH_COMMAND"' ERR
  SECONDS=0
  # shellcheck source=/dev/null
  source "$1"
  end_scenario
  trap - ERR
  DONE=1
}

# Where the scenario stopped: the innermost line that is the scenario's own.
note_broken_line() { # COMMAND
  local frame
  for frame in "${!BASH_SOURCE[@]}"; do
    [[ ${BASH_SOURCE[frame]} == "$SCENARIO" ]] || continue
    BROKE_AT="${BASH_SOURCE[frame]##*/}:${BASH_LINENO[frame - 1]}: $1"
    return
  done
}

# Also after a command failed, and after a signal.
DONE=0
BROKE_AT=""
finish() {
  local status=$?
  trap '' INT TERM HUP
  if ((DONE == 0)); then
    fail "$CURRENT runs to its end" "stopped with status $status at ${BROKE_AT:-an unknown place}"
  fi
  ((FAILED == 0)) || show_logs 20 | sed 's/^/# /'
  say "# $CURRENT: $((CASES - FAILED)) passed, $FAILED failed, $SECONDS s"
  stop_everything
  ((FAILED == 0)) || exit 1
}

main "$@"
