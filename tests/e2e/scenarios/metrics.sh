# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# metrics count what an engine did; the log tells the same, in JSON; nothing is served that was not asked for
# needs: process

METRICS=$SCRATCH/metrics.sock
export OVERLAYD_METRICS=unix:$METRICS OVERLAYD_LOG_FORMAT=json OVERLAYD_LOG_LEVEL=debug
begin_scenario

PROMTOOL=$ROOT/build/tools/promtool
need_command "$PROMTOOL"
OPERATIONS=$ROOT/docs/operations

scrape() { curl --silent --show-error --fail --unix-socket "$METRICS" http://overlayd/metrics; }
value() { scrape | awk -v series="$1" '$1 == series { print $2 }'; }
calls() { value "overlayd_calls_total{endpoint=\"GraphDriver.$1\"}"; }

# What COMMAND adds to SERIES; it must succeed.
added() { # SERIES COMMAND...
  local series=$1 before
  shift
  before=$(value "$series")
  quietly "$@"
  echo $(($(value "$series") - before))
}

layers_agree() { [[ $(value overlayd_layers) == "$(layers_on_disk | wc -l)" ]]; }
mounts_agree() { [[ $(value overlayd_mounts) == "$(layer_mounts | grep -c .)" ]]; }
trash_is_empty() { [[ $(value overlayd_trash) == 0 ]]; }

same "the socket is root's" "600 0" "$(stat --format '%a %u' "$METRICS")"
check_metrics() { scrape | "$PROMTOOL" check metrics; }
succeeds "Prometheus's own checker likes what is served" check_metrics

# --- counts
mkdir -p "$SCRATCH/tree/d"
echo content >"$SCRATCH/tree/d/f"
ln -s f "$SCRATCH/tree/d/l"
tar --create --file "$SCRATCH/small.tar" --directory "$SCRATCH/tree" d
import_small() { docker import "$SCRATCH/small.tar" "$1"; }
same "an import is one ApplyDiff" 1 \
  "$(added 'overlayd_calls_total{endpoint="GraphDriver.ApplyDiff"}' import_small one)"
docker image rm one >/dev/null
same "of as many entries as the tar has" 3 "$(added overlayd_entries_applied_total import_small two)"
docker image rm two >/dev/null
same "and bytes" "$(stat --format %s "$SCRATCH/small.tar")" \
  "$(added overlayd_bytes_received_total import_small three)"
docker image rm three >/dev/null
commits=$(value overlayd_commit_duration_seconds_count)
same "for which the disk was waited for" yes "$( ((commits > 0)) && echo yes)"

same "a container is two layers" 2 \
  "$(added 'overlayd_calls_total{endpoint="GraphDriver.CreateReadWrite"}' run_idle running busybox)"
succeeds "there are as many layers as on the disk" layers_agree
succeeds "and as many mounts as the kernel has" mounts_agree
docker exec running sh -c 'echo x >/new'
before=$(calls Diff)
same "a commit sends what is new" 1 "$(added overlayd_entries_sent_total docker commit running committed)"
same "in Diffs" yes "$( (($(calls Diff) > before)) && echo yes)"
same "of some bytes" yes "$( (($(value overlayd_bytes_sent_total) >= 512)) && echo yes)"
docker rm --force running >/dev/null
succeeds "as many layers are left as on the disk" layers_agree
succeeds "and no mounts" mounts_agree
eventually "nor trash" 30 trash_is_empty

# --- errors
allow_error "there is no layer 'absent'"
series='overlayd_call_errors_total{endpoint="GraphDriver.Get",kind="not-found"}'
get_absent() { ! call_overlayd Get absent 2>/dev/null; }
same "a failure is counted with its kind" 1 "$(added "$series" get_absent)"
all_series() { scrape | grep -v '^#' | cut -d ' ' -f 1; }
before=$(all_series)
fails_with "a call of nothing fails" 404 call_overlayd Nothing x
same "and makes no series" "$before" "$(all_series)"

# --- the log
same "every line of the log is an object of JSON with time, level and message" "" \
  "$(jq --raw-input --compact-output 'fromjson | select(([.time, .level, .message] | map(type)) != ["string", "string", "string"])' <"$OVERLAYD_LOG")"
same "a failure has its line" '["error","call failed","GraphDriver.Get","absent",500,"there is no layer '"'absent'"'"]' \
  "$(jq --compact-output 'select(.level == "error") | [.level, .message, .endpoint, .id, .status, .error]' "$OVERLAYD_LOG")"
logged() { jq --raw-output 'select(.endpoint == "GraphDriver.'"$1"'" and (.ms | type) == "number") | .id' "$OVERLAYD_LOG" | grep -c .; }
same "and each call one" "$(calls Get) $(calls Create) $(calls ApplyDiff)" "$(logged Get) $(logged Create) $(logged ApplyDiff)"

# --- what is made of them
succeeds "the alert rules are well formed" "$PROMTOOL" check rules "$OPERATIONS/alerts.yml"
succeeds "and each fires when it should" "$PROMTOOL" test rules "$ROOT/tests/data/alerts.test.yml"
served=$(scrape | sed -nE 's/^# TYPE ([^ ]+) .*/\1/p' | sort)
used=$(grep -ohE '\b(overlayd|process)_[a-z_]+' "$OPERATIONS"/{dashboard.json,alerts.yml} | sed -E 's/_(bucket|sum|count)$//' | sort -u)
same "dashboard and alerts use only what is served" "" "$(comm -23 <(echo "$used") <(echo "$served"))"
described=$(grep -oE '^\| `(overlayd|process)_[a-z_]+' "$OPERATIONS/README.md" | cut -d '`' -f 2 | sort)
same "all that is served is described, and nothing else" "$served" "$described"
panels=$(jq '[.panels[] | select(.type != "row") | select((.targets | length) > 0 and .title != "")] | length' "$OPERATIONS/dashboard.json")
same "every panel shows something" "$(jq '[.panels[] | select(.type != "row")] | length' "$OPERATIONS/dashboard.json")" "$panels"

# --- elsewhere, and nowhere
stop_overlayd
same "the socket is removed at the end" "" "$(ls "$METRICS" 2>/dev/null)"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
OVERLAYD_METRICS=127.0.0.1:$port start_overlayd
same "on a port the same is served" "overlayd_store_open 1" \
  "$(curl --silent --fail "http://127.0.0.1:$port/metrics" | grep '^overlayd_store_open')"
fails_with "and nothing else" 404 curl --silent --show-error --fail "http://127.0.0.1:$port/GraphDriver.Status"
stop_overlayd
fails_with "a port for others is refused" "127.0.0.1:PORT or [::1]:PORT, not on '0.0.0.0:$port'" \
  "$OVERLAYD" serve --socket "$PLUGIN_SOCKET" --state-dir "$STATE_DIR" --metrics "0.0.0.0:$port"

unset OVERLAYD_METRICS
listening=$(grep -c 'metrics: listening' "$OVERLAYD_LOG")
start_overlayd
same "without an address there are none" "$listening" "$(grep -c 'metrics: listening' "$OVERLAYD_LOG")"
same "and containers start" started "$(run busybox echo started)"
