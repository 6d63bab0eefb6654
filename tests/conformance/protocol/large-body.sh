#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# JSON that no engine sends: a plugin should not fill its memory with it.
source "$(dirname "$0")/lib.sh"

init
head -c 2000000 /dev/zero | tr '\0' ' ' >"$WORK/large"
send GraphDriver.Create --data-binary "@$WORK/large"
refused "it is an error" "GraphDriver.Create: request body is too large" 413
create large-body
gives "and the next call is served" '{}'
