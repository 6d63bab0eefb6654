#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# GraphDriver.ApplyDiff that cannot be. The engine then sends a Remove.
source "$(dirname "$0")/lib.sh"

init
apply nobody "" < <(tar --create --directory "$WORK" request)
refused "to no layer" "there is no layer 'nobody'"
create apply-bad
apply apply-bad "" < <(head -c 2048 /dev/urandom)
refused "something that is no tar" "apply layer 'apply-bad': tar stream at offset 0: no tar header here"
