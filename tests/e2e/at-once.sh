# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Commands several at a time; what each one says comes whole, when it is over.
#
#   AT_ONCE   how many, set by whoever sources this
#   BROKEN    how many of those that are over failed

BROKEN=0
declare -A RUNNING=() # by pid: the file with what it says

# Waits for its turn.
start_one() { # FILE COMMAND...
  ((${#RUNNING[@]} < AT_ONCE)) || await_one
  "${@:2}" >"$1" 2>&1 </dev/null &
  RUNNING[$!]=$1
}

await_one() {
  local pid
  wait -n -p pid "${!RUNNING[@]}" || BROKEN=$((BROKEN + 1))
  cat "${RUNNING[$pid]}"
  unset "RUNNING[$pid]"
}

await_all() {
  while ((${#RUNNING[@]} > 0)); do
    await_one
  done
}

# Those that still run clean up.
end_all() {
  trap '' INT TERM HUP
  ((${#RUNNING[@]} == 0)) || kill "${!RUNNING[@]}" 2>/dev/null || true
  wait
}
