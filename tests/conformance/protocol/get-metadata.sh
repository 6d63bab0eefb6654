#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# GraphDriver.GetMetadata: texts for docker inspect, which fails if this does.
source "$(dirname "$0")/lib.sh"

init
create meta-base
create meta-top meta-base
call GraphDriver.GetMetadata '{"ID":"meta-top"}'
if [[ -n $EXACT ]]; then
  gives "where the parts of a layer are" "{\"Metadata\":{\"LowerDir\":\"$HOME_DIR/meta-base/diff\",\"MergedDir\":\"$HOME_DIR/meta-top/merged\",\"UpperDir\":\"$HOME_DIR/meta-top/diff\",\"WorkDir\":\"$HOME_DIR/meta-top/work\"}}"
else
  is "is texts" "200 true" "$STATUS $(jq '.Metadata | . == null or all(type == "string")' <<<"$BODY")"
fi
