#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Create on a parent that is not there.
source "$(dirname "$0")/lib.sh"

init
call GraphDriver.Create '{"ID":"orphan","Parent":"nobody"}'
refused "it is an error" "there is no layer 'nobody'"
call GraphDriver.Exists '{"ID":"orphan"}'
is "and makes no layer" "false" "$(jq .Exists <<<"$BODY")"
