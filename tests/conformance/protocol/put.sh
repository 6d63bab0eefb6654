#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# GraphDriver.Put: gives a Get back. Engines that crashed send too many, and those in whose build it was a view too few.
source "$(dirname "$0")/lib.sh"

mounts_of() { grep -F "$1/" /proc/self/mountinfo || true; }

# Which may happen behind the caller's back.
wait_for_unmount() { # ID
  local tries
  for ((tries = 0; tries < 100; tries++)); do
    [[ -n $(mounts_of "$1") ]] || return 0
    sleep 0.1
  done
}

init
create put-base
create put-top put-base
get put-top
put put-top
gives "after a Get" '{}'
wait_for_unmount put-top
is "the last one unmounts" "" "$(mounts_of put-top)"
put put-top
gives "without a Get" '{}'
put nobody
gives "of no layer" '{}'
