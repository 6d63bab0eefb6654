# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What the scripts here share: a call, and statements about its answer, printed as TAP. Each script is run as
#
#   SCRIPT SOCKET HOME
#
# against a plugin that listens on SOCKET, and has its layers in HOME, a path as the plugin sees it. The layers that
# it makes it removes. In the environment:
#
#   PLUGIN_ROOT   what to put in front of the plugin's paths to see them from here; for a managed plugin
#                 /proc/PID/root
#   EXACT         if not empty, answers must be docs/protocol.md's to the byte: texts of errors, Content-Type and
#                 the newline at the end are each plugin's own business otherwise
#
# A call is made as Docker's client makes it, but for its name in User-Agent. The client is
# pkg/plugins/client.go and daemon/graphdriver/proxy.go among Docker's sources, and what it makes of an answer is
# said where it matters.
set -euo pipefail

SOCKET=${1:?usage: $0 SOCKET HOME}
HOME_DIR=${2:?usage: $0 SOCKET HOME}
PLUGIN_ROOT=${PLUGIN_ROOT:-}
EXACT=${EXACT:-}

WORK=$(mktemp -d)
trap finish EXIT
MADE=() # layers, in the order of their making
CASES=0
FAILED=0

finish() {
  local status=$? id
  for id in $(printf '%s\n' ${MADE[@]+"${MADE[@]}"} | tac); do
    call GraphDriver.Remove "{\"ID\":\"$id\"}"
  done
  rm -rf "$WORK"
  ((status == 0)) || not_ok "runs to its end" "stopped with status $status"
  printf '1..%d\n' "$CASES"
  ((FAILED == 0)) || exit 1
}

# --- calls ----------------------------------------------------------------------------------------

# Sets STATUS, TYPE and, unless it is a tar, BODY; all of the body is in $WORK/body.
# Docker's client sends no Content-Type, and ends JSON with a newline.
call() { # ENDPOINT [JSON [CURL-ARG...]]
  local endpoint=$1 json=${2-}
  [[ -z $json ]] || json+=$'\n'
  printf '%s' "$json" >"$WORK/request"
  send "$endpoint" --data-binary "@$WORK/request" "${@:3}"
}

# ApplyDiff has its ids in the query, as they are, and a tar on stdin of a length not known in advance.
apply() { # ID PARENT
  send "GraphDriver.ApplyDiff?id=$1&parent=$2" --header 'Transfer-Encoding: chunked' --data-binary @-
}

send() { # PATH CURL-ARG...
  : >"$WORK/body"
  STATUS=$(curl --silent --unix-socket "$SOCKET" --request POST --header 'Content-Type:' --header 'Expect:' \
    --header 'Accept: application/vnd.docker.plugins.v1.2+json' \
    --output "$WORK/body" --write-out '%{http_code} %{content_type}' "${@:2}" "http://plugin/$1") || STATUS="broken"
  TYPE=${STATUS#* }
  STATUS=${STATUS%% *}
  BODY=""
  [[ $TYPE == application/x-tar ]] || BODY=$(cat "$WORK/body")
}

# Bytes as they are, on a connection of their own; prints what comes back until the plugin closes it.
raw() { curl --silent --max-time 10 --unix-socket "$SOCKET" telnet://plugin <<<"$1" || true; }

# --- statements -----------------------------------------------------------------------------------

ok() { # NAME
  CASES=$((CASES + 1))
  printf 'ok %d - %s\n' "$CASES" "$1"
}

not_ok() { # NAME DETAIL
  CASES=$((CASES + 1))
  FAILED=$((FAILED + 1))
  printf 'not ok %d - %s\n' "$CASES" "$1"
  sed 's/^/# /' <<<"$2"
}

is() { # NAME WANTED GOT
  if [[ $2 == "$3" ]]; then
    ok "$1"
  else
    not_ok "$1" "wanted: $2"$'\n'"got:    $3"
  fi
}

# Fields that are empty are as good as none.
fields() { jq -cS 'with_entries(select(.value != null and .value != ""))' 2>&1; }

# The last call succeeded with these fields. Docker's client takes no other status than 200 for success.
gives() { # NAME JSON
  if [[ -n $EXACT ]]; then
    is "$1" "200 application/vnd.docker.plugins.v1.2+json $2 newline" "$STATUS $TYPE $BODY $(last_byte)"
  else
    is "$1" "200 $(fields <<<"$2")" "$STATUS $(fields <<<"$BODY")"
  fi
}

last_byte() { [[ $(tail -c 1 "$WORK/body" | od -An -t x1) == *0a ]] && printf newline; }

# The last call failed. Docker's client takes Err from any answer, also from one of status 200; where there is none,
# it makes an error of the status and shows the body.
fails() { # NAME
  if [[ $STATUS == broken ]] || [[ $STATUS == 200 && -z $(jq -r '.Err // ""' <<<"$BODY") ]]; then
    not_ok "$1" "wanted an error, got: $STATUS $BODY"
  else
    ok "$1"
  fi
}

# And says why.
refused() { # NAME TEXT [STATUS]
  if [[ -n $EXACT ]]; then
    is "$1" "${3:-500} application/vnd.docker.plugins.v1.2+json {\"Err\":\"$2\"} newline" "$STATUS $TYPE $BODY $(last_byte)"
  else
    fails "$1"
  fi
}

# --- layers ---------------------------------------------------------------------------------------

# An engine sends it once, before all else. Again with the same content it must change nothing.
init() { call GraphDriver.Init "{\"Home\":\"$HOME_DIR\",\"Opts\":null,\"UIDMaps\":null,\"GIDMaps\":null}"; }

create() { # ID [PARENT]
  call GraphDriver.Create "{\"ID\":\"$1\",\"Parent\":\"${2:-}\"}"
  MADE+=("$1")
}

# A layer with files in it: makes them below a directory with COMMAND.
filled() { # ID PARENT COMMAND
  local dir=$WORK/content-$1
  create "$1" "$2"
  mkdir -p "$dir"
  (cd "$dir" && eval "$3")
  apply "$1" "$2" < <(tar --create --sort name --numeric-owner --owner 0 --group 0 --directory "$dir" .)
  rm -rf "$dir"
}

# Sets DIR, which is where the layer's files are seen from here.
get() { # ID
  call GraphDriver.Get "{\"ID\":\"$1\",\"MountLabel\":\"\"}"
  # shellcheck disable=SC2034  # read by the scripts
  DIR=$PLUGIN_ROOT$(jq -r '.Dir // "none"' <<<"$BODY")
}

put() { call GraphDriver.Put "{\"ID\":\"$1\"}"; }
