#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# GraphDriver.Remove: the daemon keeps a container as dead whose layer could not be removed, so this should not fail
# without need.
source "$(dirname "$0")/lib.sh"

init
create remove-base
create remove-top remove-base
get remove-top
call GraphDriver.Remove '{"ID":"remove-top"}'
# BuildKit's views are removed without a Put.
gives "of a mounted layer" '{}'
is "unmounts it" "" "$(grep -F "remove-top/" /proc/self/mountinfo || true)"
call GraphDriver.Exists '{"ID":"remove-top"}'
is "it is gone" "false" "$(jq '.Exists // false' <<<"$BODY")"
# The daemon cannot tell this error from others, and would report it.
call GraphDriver.Remove '{"ID":"remove-top"}'
gives "again" '{}'
