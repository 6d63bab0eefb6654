# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# overlayd is killed again and again during builds: nothing is lost that was reported done
# needs: process
begin_scenario

# The engine sends a call again when its answer was lost: without its body, or with as much of it as it had not sent,
# and then again without one.
allow_error "request body is empty"
allow_error "request body ended before its announced end"
allow_error "its ApplyDiff did not finish"
context=$(new_context rounds </dev/null)
builds_fine=0
for round in 1 2 3 4 5; do
  printf 'FROM busybox\nRUN echo %s >/round && mkdir /a && touch /a/b\nRUN rm -r /a && echo more >>/round\n' \
    "$round" >"$context/Dockerfile"
  classic_build "round$round" "$context" >/dev/null 2>&1 &
  build=$!
  sleep "0.$((round * 2))"
  kill_overlayd
  start_overlayd
  # A call that was under way may have failed and the build with it; trying again must work.
  wait "$build" || classic_build "round$round" "$context" || continue
  [[ $(run "round$round" sh -c 'echo $(cat /round) $(ls /a 2>&1)') == "$round more ls: /a: No such file or directory" ]] &&
    builds_fine=$((builds_fine + 1))
done
same "builds come out right when overlayd is killed under them" 5 "$builds_fine"

# A container whose creation failed leaves the lower of its two layers behind, or both if it was the answer that was
# lost: the engine forgets them, and could not remove the image below.
docker container prune --force >/dev/null
for lower in $(layers_on_disk | grep -- '-init$'); do
  for lost in $(layers_on_disk | grep -x "${lower%-init}") "$lower"; do
    say "# the engine lost $lost"
    call_overlayd Remove "$lost"
  done
done
