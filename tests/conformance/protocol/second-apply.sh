#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ApplyDiff to a layer that has content. A call that is sent again, because its answer was lost, ends here.
source "$(dirname "$0")/lib.sh"

init
filled twice "" 'echo first >file'
apply twice "" < <(tar --create --directory "$WORK" request)
refused "it is an error" "layer 'twice' has content already"
get twice
is "and the content stays" "first" "$(cat "$DIR/file")"
put twice
