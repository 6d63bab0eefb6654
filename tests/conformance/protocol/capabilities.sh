#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# GraphDriver.Capabilities: follows Init. With ReproducesExactDiffs an engine keeps no headers of tars, and a Diff must
# give the bytes of the ApplyDiff. A plugin may answer 404, which means false; after any other failure the daemon does
# not start.
source "$(dirname "$0")/lib.sh"

call GraphDriver.Capabilities '{}'
if [[ -z $EXACT && $STATUS == 404 ]]; then
  ok "has none"
else
  is "are in an object of their own" "200 boolean" \
    "$STATUS $(jq -r '.Capabilities.ReproducesExactDiffs | type' <<<"$BODY")"
fi
