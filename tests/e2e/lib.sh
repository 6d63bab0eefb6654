# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# A small TAP harness for scenarios, and the steps that scenarios share. See docs/testing.md.
#
# Assertions print "ok - NAME" or "not ok - NAME" and never stop the scenario; any other command that
# fails does. Sourced by run.sh after scripts/lib.

source "$HERE/facts.sh"

CASES=0
FAILED=0
FIRST_LOG_LINE=1 # of overlayd's log, not yet checked for errors

# --- assertions -----------------------------------------------------------------------------------

pass() { # NAME
  CASES=$((CASES + 1))
  say "ok $CASES - $1"
}

fail() { # NAME [DETAIL]
  CASES=$((CASES + 1))
  FAILED=$((FAILED + 1))
  say "not ok $CASES - $1"
  [[ -z ${2:-} ]] || sed 's/^/# /' <<<"$2"
}

# The exact text, every byte of it.
same() { # NAME WANTED GOT
  if [[ $2 == "$3" ]]; then
    pass "$1"
  else
    fail "$1" "$(diff --label wanted --label got -u <(printf '%s\n' "$2") <(printf '%s\n' "$3") | cat -v)"
  fi
}

succeeds() { # NAME COMMAND...
  local name=$1 output
  shift
  if output=$("$@" 2>&1); then
    pass "$name"
  else
    fail "$name" "\$ $*"$'\n'"$output"
  fi
}

# It must fail, and say TEXT about it.
fails_with() { # NAME TEXT COMMAND...
  local name=$1 text=$2 output
  shift 2
  if output=$("$@" 2>&1); then
    fail "$name" "succeeded: $*"
  elif [[ $output != *"$text"* ]]; then
    fail "$name" "wanted an error with: $text"$'\n'"got: $output"
  else
    pass "$name"
  fi
}

# It must hold before SECONDS are over.
eventually() { # NAME SECONDS COMMAND...
  local name=$1 seconds=$2
  shift 2
  if wait_for "$seconds" "$@"; then
    pass "$name"
  else
    fail "$name" "not within $seconds s: $*"
  fi
}

# --- containers and images ------------------------------------------------------------------------

# No container here has a network: none is needed, and none is there.
run() { docker run --rm --network none "$@"; }

# Starts NAME so that it keeps running until it is told to stop. Process 1 ignores most signals, and the
# engine would wait ten seconds for it.
run_idle() { # NAME IMAGE [DOCKER ARGS...]
  local name=$1 image=$2
  shift 2
  docker run --detach --network none --stop-signal KILL --name "$name" "$@" "$image" sleep 100000 >/dev/null
}

# The lines of `docker diff`, in an order that can be compared.
changes_of() { docker diff "$1" | LC_ALL=C sort -k 2; }

# A build directory with the Dockerfile on stdin.
new_context() { # NAME
  local dir=$SCRATCH/context-$1
  mkdir -p "$dir"
  cat >"$dir/Dockerfile"
  printf '%s' "$dir"
}

classic_build() { # TAG CONTEXT
  # Newer clients complain about this builder.
  DOCKER_BUILDKIT=0 quietly docker build --quiet --network none --tag "$1" "$2"
}

buildkit_build() { # TAG CONTEXT
  local output
  output=$(DOCKER_BUILDKIT=1 docker build --progress plain --network none --tag "$1" "$2" 2>&1) || {
    sed 's/^/# /' <<<"$output"
    return 1
  }
}

# A process's view of its files, from outside: what attribute tools busybox lacks are run on.
inside() { printf '/proc/%s/root' "$(docker inspect --format '{{.State.Pid}}' "$1")"; }

# Type, mode, owner and size or target of each FILE below DIRECTORY, one a line.
describe() { # DIRECTORY FILE...
  local dir=$1
  shift
  (cd "$dir" && stat --format '%n %F %a %u:%g' "$@")
}

# --- the store ------------------------------------------------------------------------------------

# Where the driver keeps its layers: below the engine's root, which with remapped users is one level deeper,
# or in what that shares with a managed plugin.
home() {
  local root dir
  root=$(data_root)
  for dir in "$root"/{,[0-9]*.[0-9]*/}{,plugins/*/propagated-mount/}"$STORAGE_DRIVER"; do
    [[ -d $dir ]] || continue
    printf '%s' "$dir"
    return
  done
}

# The layers on disk. Everything in the home directory is one, except what is named here.
layers_on_disk() {
  find "$(home)" -mindepth 1 -maxdepth 1 -not -name l -not -name .overlayd -not -name lost+found -printf '%f\n' | sort
}

# What engines are known never to give back, with any driver: a regular expression over the names of layers.
ENGINE_LOSES='nothing'
layers_that_should_be_gone() { layers_on_disk | grep -vxE "$ENGINE_LOSES" || true; }
mounts_that_should_be_gone() { layer_mounts | grep -vE "/($ENGINE_LOSES)/merged$" || true; }

# Whether the engine is told that layers can be limited.
quota_row() {
  docker info --format '{{range .DriverStatus}}{{if eq (index . 0) "Layer Quotas"}}{{index . 1}}{{end}}{{end}}'
}

# A call of the plugin's that the engine knows nothing of.
call_overlayd() { # ENDPOINT ID
  curl --silent --show-error --fail --unix-socket "$PLUGIN_SOCKET" --data "{\"ID\":\"$2\"}" \
    "http://plugin/GraphDriver.$1" >/dev/null
}

# What overlayd makes and throws away beside its layers.
leftovers_in_store() {
  find "$(home)/.overlayd/staging" "$(home)/.overlayd/trash" -mindepth 1 -maxdepth 1 2>/dev/null
}

store_has_no_leftovers() { [[ -z $(leftovers_in_store) ]]; }
store_has_no_layers() { [[ -z $(layers_that_should_be_gone) ]]; }
nothing_is_mounted() { [[ -z $(mounts_that_should_be_gone) ]]; }

# Every container, image and cached build result.
remove_everything() {
  local ids
  ids=$(docker ps --all --quiet)
  # shellcheck disable=SC2086  # one word per id
  [[ -z $ids ]] || docker rm --force --volumes $ids >/dev/null
  docker image prune --all --force >/dev/null
  docker builder prune --all --force >/dev/null
}

# --- beginning and end of each scenario -------------------------------------------------------------

begin_scenario() {
  if uses_overlayd && [[ $WAY == managed ]]; then
    begin_managed overlayd "$@"
    return
  fi
  mkdir -p "$(data_root)"
  start_overlayd
  start_dockerd "$@"
  import_busybox busybox >/dev/null
}

# The user overlayd-test, for --userns-remap.
add_remapped_user() {
  own_etc
  echo 'overlayd-test:x:64100:64100::/nonexistent:/bin/false' >>"$ETC/passwd"
  echo 'overlayd-test:x:64100:' >>"$ETC/group"
  echo 'overlayd-test:200000:65536' >>"$ETC/subuid"
  echo 'overlayd-test:300000:65536' >>"$ETC/subgid"
}

# What must hold after any scenario: everything can be removed, and then nothing is left.
end_scenario() {
  succeeds "end: everything can be removed" remove_everything
  eventually "end: no layer is mounted" 10 nothing_is_mounted
  eventually "end: no layer is left on disk" 10 store_has_no_layers
  layers_that_should_be_gone | sed 's/^/# still there: /'
  if uses_overlayd; then
    eventually "end: staging and trash are empty" 30 store_has_no_leftovers
  fi
  stop_dockerd || true
  same "end: dockerd exits cleanly" 0 "$DOCKERD_STATUS"
  same "end: no mount is left" "" "$(mounts_that_should_be_gone)"
  if runs_overlayd; then
    stop_overlayd || true
    same "end: overlayd exits cleanly" 0 "$OVERLAYD_STATUS"
    same "end: overlayd removes its socket" "" "$(ls "$PLUGIN_SOCKET" 2>/dev/null)"
  fi
  if uses_overlayd; then
    expect_no_logged_errors
  fi
  # The engine does not wait for what it started.
  wait_for 10 leftover_processes || true
  same "end: no process is left" "" "$LEFT"
}

# A scenario that provokes an error names the text of it first.
ALLOWED_ERRORS=()
allow_error() { # FIXED-STRING
  ALLOWED_ERRORS+=("$1")
}

expect_no_logged_errors() {
  same "end: overlayd logged no warning and no error" "" "$(overlayd_log | tail -n "+$FIRST_LOG_LINE" | bad_lines)"
}

overlayd_log() {
  if runs_overlayd; then
    cat "$OVERLAYD_LOG"
  else
    plugin_log
  fi
}

bad_lines() {
  local bad allowed
  bad=$(grep -iE '\b(error|critical|warn(ing)?)\b' || true)
  for allowed in "${ALLOWED_ERRORS[@]}"; do
    bad=$(grep -vF -- "$allowed" <<<"$bad" || true)
  done
  printf '%s' "$bad"
}
