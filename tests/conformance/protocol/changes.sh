#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# GraphDriver.Changes: for docker diff. Kind is 0 for modified, 1 for added, 2 for deleted.
source "$(dirname "$0")/lib.sh"

init
filled changes-base "" 'mkdir dir && echo one >dir/one && echo two >two'
create changes-top changes-base
get changes-top
echo changed >"$DIR/dir/one"
rm "$DIR/two"
touch "$DIR/new"
put changes-top
call GraphDriver.Changes '{"ID":"changes-top","Parent":"changes-base"}'
is "each path once" "200 /dir 0
/dir/one 0
/new 1
/two 2" "$STATUS $(jq -r '.Changes | sort_by(.Path)[] | "\(.Path) \(.Kind)"' <<<"$BODY")"
call GraphDriver.Changes '{"ID":"changes-base","Parent":"changes-base"}'
if [[ -n $EXACT ]]; then
  refused "on itself" "changes of layer 'changes-base': layer 'changes-base' is not an ancestor of layer 'changes-base'"
fi
create changes-none changes-base
call GraphDriver.Changes '{"ID":"changes-none","Parent":"changes-base"}'
is "none" "200 0" "$STATUS $(jq '.Changes | length' <<<"$BODY")"
