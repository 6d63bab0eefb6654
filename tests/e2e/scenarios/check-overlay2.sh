# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# overlayd check on what Docker's own overlay2 driver has made: no false alarm, damage found, repairs it lives with
# needs: process
# shellcheck disable=SC2034  # read by what starts the engine
STORAGE_DRIVER=overlay2
begin_scenario

check() { "$OVERLAYD" check --layerdb "$(data_root)/image/overlay2/layerdb" "$@" "$(home)"; }
number_of() { check --json | jq ".findings + .orphans | length"; }
knows_all() { [[ $(number_of) == 0 ]]; }

run_idle running busybox
context=$(new_context chain <<'END'
FROM busybox
RUN echo one >/one
RUN rm -r /root && mkdir /root && echo two >/two
END
)
classic_build chain "$context"
buildkit_build cached "$context"
docker create --network none --name kept chain cat /one /two >/dev/null
docker run --network none --name stopped chain sh -c 'echo three >/three; rm /one'
layer_of() { basename "$(dirname "$(docker inspect --format '{{.GraphDriver.Data.UpperDir}}' "$1")")"; }

# --- while the engine works
while :; do run chain true || break; done &
load=$!
failed=0
for _ in {1..5}; do
  "$OVERLAYD" check "$(home)" >"$SCRATCH/report" || failed=1
done
kill "$load"
wait "$load" || true
same "containers that come and go are no damage" 0 "$failed"
eventually "all that the engine has made it knows, mounted or not" 20 knows_all

# --- at rest
docker rm --force running >/dev/null
kept=$(layer_of kept)
image=$(docker image inspect --format '{{.GraphDriver.Data.UpperDir}}' chain)
image=$(basename "$(dirname "$image")")
stop_dockerd
eventually "a store at rest is clean" 10 knows_all
show() { check | sed -n "s/^$1: //p" || true; }

# --- an orphan
cp -a "$(home)/$image" "$(home)/orphaned"
rm -f "$(home)/orphaned/committed"
printf 'ORPHANORPHANORPHANORPHANOR' >"$(home)/orphaned/link"
ln -s ../orphaned/diff "$(home)/l/ORPHANORPHANORPHANORPHANOR"
same "a layer that the engine does not know is an orphan" "'orphaned': 4 bytes" "$(show orphan)"
rm -rf "$(home)/orphaned" "$(home)/l/ORPHANORPHANORPHANORPHANOR"

# --- damage that can be repaired
link=$(cat "$(home)/$kept/link")
image_link=$(cat "$(home)/$image/link")
: >"$(home)/$kept/lower"
rm "$(home)/$kept/link" "$(home)/l/$image_link"
same "damage is found" "'$kept/link': the file is missing or damaged (can be repaired)
'$kept/lower': the file is missing or damaged (can be repaired)
'l/$image_link': the link is missing or leads elsewhere (can be repaired)" "$(show damage)"
succeeds "and repaired" check --repair
same "as it was" "$link" "$(cat "$(home)/$kept/link")"
same "nothing is left of it, and nothing of the repair" "0 " "$(number_of) $(find "$(home)" -maxdepth 1 -name '.*')"
start_dockerd
same "the container has all its files" "one two" "$(docker start --attach kept | paste -sd ' ')"
same "and new ones are made" "one two" "$(run chain cat /one /two | paste -sd ' ')"

# --- damage that cannot
stop_dockerd
mv "$(home)/$kept/diff" "$SCRATCH/kept-diff"
same "content that is gone is named" "'$kept': it has no 'diff' directory" "$(show damage)"
fails_with "and not made up" "it has no 'diff' directory" check --repair
mv "$SCRATCH/kept-diff" "$(home)/$kept/diff"
start_dockerd
