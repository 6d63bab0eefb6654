#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# All calls are POST. A look at the socket with a browser's GET must have no effect.
source "$(dirname "$0")/lib.sh"

init
create wrong-method
call GraphDriver.Remove '{"ID":"wrong-method"}' --request GET
refused "another method" "no such endpoint: GET '/GraphDriver.Remove'" 404
call GraphDriver.Exists '{"ID":"wrong-method"}'
is "does nothing" "true" "$(jq .Exists <<<"$BODY")"
