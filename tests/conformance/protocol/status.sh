#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# GraphDriver.Status: rows for docker info. A failure shows as no rows.
source "$(dirname "$0")/lib.sh"

init
call GraphDriver.Status '{}'
is "rows of two texts" "200 true" \
  "$STATUS $(jq '.Status | length > 0 and all(length == 2 and all(type == "string"))' <<<"$BODY")"
# docker info warns if this says false.
is "file types are known" "true" "$(jq -r '.Status[] | select(.[0] == "Supports d_type")[1]' <<<"$BODY")"
