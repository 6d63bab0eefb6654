# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# overlayd to be started and killed in the machine, over the words of tests/conformance/protocol/lib.sh. Sourced with
# the home directory as the only argument.

set -- /run/overlayd/plugin.sock "$1"
mkdir -p /run/overlayd /run/state
rm -rf /run/state/*
PLUGIN_PID=""

source "$(dirname "${BASH_SOURCE[0]}")/../../conformance/protocol/lib.sh"

LOG=/run/overlayd.log

start() {
  overlayd serve --socket "$SOCKET" --state-dir /run/state >>"$LOG" 2>&1 &
  PLUGIN_PID=$!
  before 60 answers || not_ok "overlayd starts" "$(tail -n 3 "$LOG")"
}

answers() {
  call Plugin.Activate
  [[ $STATUS == 200 ]]
}

end() { # SIGNAL
  kill -s "$1" "$PLUGIN_PID"
  wait "$PLUGIN_PID" 2>/dev/null || true
}

restart() { # SIGNAL
  end "$1"
  start
}

# Polls COMMAND until it succeeds; fails after SECONDS.
before() { # SECONDS COMMAND...
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < end)) || return 1
    sleep 0.1
  done
}

eventually() { # NAME COMMAND...
  if before 60 "${@:2}"; then
    ok "$1"
  else
    not_ok "$1" "not within a minute: ${*:2}"
  fi
}

# --- what the protocol's library has no word for ------------------------------------------------------

init_with() { # OPTION...
  local options
  options=$(printf '%s\n' "$@" | jq -R . | jq -cs .)
  call GraphDriver.Init "{\"Home\":\"$HOME_DIR\",\"Opts\":$options}"
}

# A container's layer.
create_rw() { # ID PARENT [STORAGE-OPT-JSON]
  call GraphDriver.CreateReadWrite "{\"ID\":\"$1\",\"Parent\":\"$2\",\"StorageOpt\":${3:-null}}"
  [[ $STATUS != 200 ]] || MADE+=("$1")
}

remove() { call GraphDriver.Remove "{\"ID\":\"$1\"}"; }

trash_is_empty() { [[ -z $(ls "$HOME_DIR/.overlayd/trash") ]]; }

# The last call failed, and its text has TEXT.
says() { # NAME TEXT
  if [[ $STATUS == 500 && $(jq -r '.Err' <<<"$BODY") == *"$2"* ]]; then
    ok "$1"
  else
    not_ok "$1" "wanted an error with: $2"$'\n'"got: $STATUS $BODY"
  fi
}

succeeded() { # NAME
  is "$1" "200 " "$STATUS $(jq -r '.Err // ""' <<<"$BODY")"
}

status_row() { # NAME
  call GraphDriver.Status
  jq -r --arg row "$1" '.Status[] | select(.[0] == $row)[1]' <<<"$BODY"
}
