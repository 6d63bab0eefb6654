# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What every script here needs: where the repository is, how to speak, how to wait. Sourced, never run.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

say() { printf '%s\n' "$*"; }

die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

need_root() {
  ((EUID == 0)) || die "must run as root ($1); try: sudo $0"
}

need_command() { # NAME...
  local name
  for name in "$@"; do
    command -v "$name" >/dev/null || die "$name is not installed; run scripts/setup"
  done
}

# Polls COMMAND ten times a second until it succeeds; fails after SECONDS.
wait_for() { # SECONDS COMMAND...
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < deadline)) || return 1
    sleep 0.1
  done
}

# Runs COMMAND in silence; shows what it printed only if it fails.
quietly() { # COMMAND...
  local output
  if ! output=$("$@" 2>&1 </dev/null); then
    printf '%s\n' "$output" >&2
    return 1
  fi
}

# Under sudo, compiling is done as the user who called it, so that build/ stays theirs.
as_invoking_user() { # COMMAND...
  local uid=${SUDO_UID:-0} built=$ROOT/build
  [[ -e $built ]] || built=$ROOT
  if ((EUID == 0 && uid != 0)) && [[ $(stat -c %u "$built") == "$uid" ]]; then
    setpriv --reuid "$uid" --regid "${SUDO_GID:-$uid}" --clear-groups "$@"
  else
    "$@"
  fi
}

# Configures a preset and builds targets of it (the preset's own when none is named).
build_preset() { # PRESET [TARGET...]
  local preset=$1
  shift
  need_command cmake ninja
  (
    cd "$ROOT" || exit
    # --fresh is not used: a second run must find everything built.
    quietly as_invoking_user cmake --preset "$preset"
    as_invoking_user cmake --build --preset "$preset" ${1:+--target "$@"} >&2
  )
}
