#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Options of a single layer, docker run --storage-opt. What a plugin does not know it must refuse: an engine takes
# success to mean that the limit is in force.
source "$(dirname "$0")/lib.sh"

init
call GraphDriver.CreateReadWrite '{"ID":"limited","Parent":"","StorageOpt":{"no-such":"1"}}'
refused "an option that is not known" "storage option 'no-such' is unknown"
call GraphDriver.Exists '{"ID":"limited"}'
is "makes no layer" "false" "$(jq .Exists <<<"$BODY")"
