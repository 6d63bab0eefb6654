#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A call without its body. Docker's client sends a call again whose connection broke, from a buffer that it has read to
# its end: the second one is empty, and must be no more than an error.
source "$(dirname "$0")/lib.sh"

init
create empty-body
for endpoint in Init Create CreateReadWrite Remove Get Put Exists GetMetadata Diff Changes DiffSize; do
  call "GraphDriver.$endpoint"
  refused "$endpoint" "GraphDriver.$endpoint: request body is empty"
done
call GraphDriver.Exists '{"ID":"empty-body"}'
is "a layer survives it" "true" "$(jq .Exists <<<"$BODY")"
