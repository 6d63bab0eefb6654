#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Calls about a layer that is not there, except those that end something: there it is success, see put and remove.
source "$(dirname "$0")/lib.sh"

init
while read -r endpoint context; do
  call "GraphDriver.$endpoint" '{"ID":"nobody","Parent":""}'
  refused "$endpoint" "${context:+$context }there is no layer 'nobody'"
done <<END
Get
GetMetadata
Changes changes of layer 'nobody':
DiffSize size of layer 'nobody':
Diff diff of layer 'nobody':
END
