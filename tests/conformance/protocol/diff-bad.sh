#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# GraphDriver.Diff that cannot be: the one call in which an error must have a status other than 200. Docker's client
# takes the body of a 200 for the tar, whatever is in it.
source "$(dirname "$0")/lib.sh"

init
create diff-bad
create diff-bad-other
call GraphDriver.Diff '{"ID":"nobody","Parent":""}'
refused "of no layer" "diff of layer 'nobody': there is no layer 'nobody'"
is "by its status" "500" "$STATUS"
call GraphDriver.Diff '{"ID":"diff-bad","Parent":"diff-bad-other"}'
refused "on a layer that is not below" "diff of layer 'diff-bad': layer 'diff-bad-other' is not an ancestor of layer 'diff-bad'"
