#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# GraphDriver.DiffSize: for docker ps --size and docker system df.
source "$(dirname "$0")/lib.sh"

init
filled size-base "" 'head -c 1000 /dev/zero >base'
filled size-top size-base 'head -c 200 /dev/zero >top && mkdir dir && ln -s top link'
call GraphDriver.DiffSize '{"ID":"size-top","Parent":"size-base"}'
# A link counts with the length of its target, as for Docker's own drivers.
is "the bytes in what it has on its parent" "203" "$(jq '.Size' <<<"$BODY")"
