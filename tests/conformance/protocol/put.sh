#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# GraphDriver.Put: gives a Get back. Engines that crashed send too many, and those in whose build it was a view too few.
source "$(dirname "$0")/lib.sh"

init
create put-base
create put-top put-base
get put-top
put put-top
gives "after a Get" '{}'
is "the last one unmounts" "" "$(grep -F "put-top/" /proc/self/mountinfo || true)"
put put-top
gives "without a Get" '{}'
put nobody
gives "of no layer" '{}'
