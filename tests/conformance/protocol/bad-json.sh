#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Bodies that are not what they should be.
source "$(dirname "$0")/lib.sh"

init
call GraphDriver.Create '{"ID":"bad'
refused "cut" "GraphDriver.Create: request body is not valid JSON"
call GraphDriver.Create 'nothing like it'
refused "no JSON" "GraphDriver.Create: request body is not valid JSON"
call GraphDriver.Create '["bad-json"]'
refused "no object" "GraphDriver.Create: request body is not a JSON object"
call GraphDriver.Create '{"ID":5}'
refused "a field of the wrong type" "GraphDriver.Create: field 'ID' is not a string"
call GraphDriver.Exists '{"ID":"bad-json"}'
is "no layer is made of any" "false" "$(jq '.Exists // false' <<<"$BODY")"
