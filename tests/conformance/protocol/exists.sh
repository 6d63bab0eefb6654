#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# GraphDriver.Exists: no engine asks it since 1.10, its tests do.
source "$(dirname "$0")/lib.sh"

init
create exists
call GraphDriver.Exists '{"ID":"exists"}'
gives "one that is there" '{"Exists":true}'
call GraphDriver.Exists '{"ID":"nobody"}'
is "one that is not" "200 false" "$STATUS $(jq '.Exists // false' <<<"$BODY")"
