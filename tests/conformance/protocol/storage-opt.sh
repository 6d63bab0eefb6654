#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Options of a single layer, docker run --storage-opt. What a plugin does not know it must refuse: an engine takes
# success to mean that the limit is in force.
source "$(dirname "$0")/lib.sh"

init
call GraphDriver.CreateReadWrite '{"ID":"limited","Parent":"","StorageOpt":{"no-such":"1"}}'
refused "an option that is not known" "storage option 'no-such' is unknown"
call GraphDriver.CreateReadWrite '{"ID":"limited","Parent":"","StorageOpt":{"size":"much"}}'
refused "a size that is none" "storage option 'size=much': 'much' is not a size, such as 10G or 512m"
call GraphDriver.Create '{"ID":"limited","Parent":"","StorageOpt":{"size":"1G"}}'
refused "a size of a layer that is no container's" "storage option 'size=1G': only a container's layer can be limited"
call GraphDriver.Exists '{"ID":"limited"}'
is "makes no layer" "false" "$(jq .Exists <<<"$BODY")"
