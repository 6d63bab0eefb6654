#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs scenarios of scenarios/ with a real Docker engine, each in a sandbox of its own, and prints TAP.
#
#   tests/e2e/run.sh [FILTER...]   the scenarios of these names, or whose names contain one of them; those marked
#                                  "# slow" only by their name
#   tests/e2e/run.sh FILE          a scenario that lies elsewhere
#
# ENGINE=26.1 runs them on Debian 13's engine, WAY=managed with overlayd as a managed plugin, and
# STORAGE_DRIVER=overlay2 with the engine's own driver, to judge the scenarios by. Those that make no sense
# there are left out by name. AT_ONCE is how many run at a time, one more than there are processors if it is not set.
# OVERLAYD names the binary; scripts/lib/engine.sh says more.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$HERE/../../scripts/lib/common.sh"
source "$HERE/../../scripts/lib/sandbox.sh"
source "$HERE/../../scripts/lib/engine.sh"
source "$HERE/at-once.sh"

# Half of a scenario's time is waiting for the engine.
AT_ONCE=${AT_ONCE:-$(($(nproc) + 1))}

main() {
  if [[ ${1:-} == --scenario ]]; then
    run_inside "$2"
    return
  fi
  need_root "it mounts file systems and runs a Docker engine"
  need_engine
  need_command busybox curl jq getfattr getcap python3
  run_scenarios "${@:-}"
}

run_scenarios() { # FILTER...
  local file name left_out matched=0 files=("$HERE"/scenarios/*.sh)
  OUTPUT=$(mktemp -d "${TMPDIR:-/var/tmp}/overlayd-e2e.XXXXXX")
  trap 'end_all; rm -rf "$OUTPUT"' EXIT
  trap 'exit 130' INT TERM HUP
  [[ $1 != */* ]] || files=("$1")
  for file in "${files[@]}"; do
    name=$(basename "$file" .sh)
    [[ $1 == */* ]] || is_asked_for "$name" "$@" || continue
    if grep -q '^# slow' "$file" && [[ $1 != */* && " $* " != *" $name "* ]]; then
      say "# $name: not run, it is slow; tests/e2e/run.sh $name"
      continue
    fi
    matched=$((matched + 1))
    if left_out=$(reason_to_leave_out "$file"); then
      say "# $name: not run, $left_out"
      continue
    fi
    start_one "$OUTPUT/$name" run_apart "$file" "$name"
  done
  await_all
  ((matched > 0)) || die "no scenario matches '$*'"
  ((BROKEN == 0))
}

is_asked_for() { # NAME FILTER...
  local name=$1 filter
  shift
  for filter; do
    if [[ -e $HERE/scenarios/$filter.sh ]]; then
      [[ $name != "$filter" ]] || return 0
    elif [[ $name == *"$filter"* ]]; then
      return 0
    fi
  done
  return 1
}

run_apart() { # FILE NAME
  say "# --- $2: $(sed -n '3s/^# //p' "$1")"
  exec "$0" --scenario "$1"
}

# The third line of a scenario may be followed by one that says what it needs:
#   overlayd   the driver, not one of the engine's own
#   process    a process of overlayd that it can stop and start
#   package    nothing: it makes a package for this Debian, and runs the engine of this Debian with it
#   quotas     a disk that limits projects, and with it a kernel that can; scripts/kernels has both
reason_to_leave_out() { # FILE
  local needs
  needs=$(sed -n '4s/^# needs: //p' "$1")
  if [[ -n $needs ]] && ! uses_overlayd; then
    say "it is about overlayd"
  elif [[ $needs == process ]] && ! runs_overlayd; then
    say "it stops and starts overlayd itself"
  elif [[ $needs == package && "$ENGINE $WAY" != "20.10 legacy" ]]; then
    say "it is about a package for this Debian"
  elif [[ $needs == quotas ]] && ! scratch_has_quotas; then
    say "nothing can be limited on this disk; scripts/kernels 6.1 engine-xfs"
  else
    return 1
  fi
}

scratch_has_quotas() { findmnt --noheadings --output OPTIONS --target "$OUTPUT" | grep -qw prjquota; }

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
