# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# overlayd check: no false alarm while an engine works, a changed byte, orphans by its layer database, repairs
# needs: process
begin_scenario

check() { "$OVERLAYD" check --layerdb "$(data_root)/image/$STORAGE_DRIVER/layerdb" "$@" "$(home)"; }
last_line() { tail -n 1 <<<"$1"; }
number_of() { check --json | jq ".findings + .orphans | length"; }

run_idle running busybox
context=$(new_context chain <<'END'
FROM busybox
RUN echo one >/one
RUN echo two >/two
END
)
classic_build chain "$context"
buildkit_build cached "$context"

# --- while it is served
while :; do run chain true || break; done &
load=$!
failed=0
for _ in {1..10}; do
  "$OVERLAYD" check "$(home)" >"$SCRATCH/report" || failed=1
  grep -v -e '^leftover' "$SCRATCH/report" >>"$SCRATCH/reports"
done
kill "$load"
wait "$load" || true
same "containers that come and go are no damage" 0 "$failed"
same "and it is known that the store is served" 10 "$(grep -c 'the store is being served' "$SCRATCH/reports")"
knows_all() { [[ $(number_of) == 0 ]]; }
eventually "all that the engine has made it knows" 20 knows_all
fails_with "a store that is served is not repaired" "another process serves it" check --repair

# --- content
findings() { check --content --json | jq -r '.findings[] | "\(.kind) \(.layer) \(.file)"'; }
same "layers that the engine has imported and built are as they were written" "" "$(findings)"
same "and some have been compared" true "$(check --content --json | jq '.content.layers >= 3 and .content.files > 3')"
layer=$(docker inspect --format '{{.GraphDriver.Data.LowerDir}}' chain | cut -d : -f 1)
layer=$(basename "$(dirname "$layer")")
printf O | dd of="$(home)/$layer/diff/one" conv=notrunc status=none
same "one byte that has changed is found, with layer and file" "damage $layer $layer/diff/one" "$(findings)"
status=0
report=$(check --content 2>&1) || status=$?
same "the exit status tells" 1 "$status"
same "and nothing but lines of text are written where there is no terminal" 0 "$(grep -c $'\r' <<<"$report")"
printf o | dd of="$(home)/$layer/diff/one" conv=notrunc status=none
same "once it is as it was there is no damage" "" "$(findings)"

# --- a layer that the engine knows nothing of
id=orphaned
call_overlayd Create "$id"
echo 12345 >"$(home)/$id/diff/file"
same "it is an orphan" "orphan: '$id': 6 bytes" "$(check | grep orphan:)"
call_overlayd Remove "$id"

# --- and one that lies on a layer that it removes
tar --create --directory "$context" . | docker import - other >/dev/null
below=$(basename "$(dirname "$(docker inspect --format '{{.GraphDriver.Data.UpperDir}}' other)")")
curl --silent --fail --unix-socket "$PLUGIN_SOCKET" --data "{\"ID\":\"$id\",\"Parent\":\"$below\"}" \
  http://plugin/GraphDriver.Create >/dev/null
succeeds "the image below can be removed" docker rmi other
same "its layer is there for the orphan only" "removed orphan" \
  "$("$OVERLAYD" ls --json "$(home)" | jq -r ".[] | select(.id == \"$below\") | .state, .kind" | paste -sd ' ')"
call_overlayd Remove "$id"
same "and goes with it" "" "$(ls -d "$(home)/$below" 2>/dev/null)"

# --- while nothing runs
docker rm --force running >/dev/null
docker create --network none --name kept chain cat /one /two >/dev/null
layer=$(docker inspect --format '{{.GraphDriver.Data.UpperDir}}' kept)
layer=$(basename "$(dirname "$layer")")
stop_dockerd
stop_overlayd
succeeds "a store at rest is clean" check
: >"$(home)/$layer/lower" # what a power cut made of it with older engines
: >"$(home)/$layer/link"
report=$(check || true)
same "damage is found" "2" "$(grep -c "^damage: '$layer/.*(can be repaired)" <<<"$report")"
succeeds "and repaired" check --repair
succeeds "for good" check
: >"$(home)/$layer/lower"
start_overlayd
same "a start repairs it as well" 0 "$("$OVERLAYD" check --json "$(home)" | jq '.findings | length')"
start_dockerd
same "the container has all its files" "one two" "$(docker start --attach kept | paste -sd ' ')"
