#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# GraphDriver.ApplyDiff: fills a layer from a tar, for pull, load, import and commit.
source "$(dirname "$0")/lib.sh"

init
create apply-base
for i in $(seq 10); do
  mkdir -p "$WORK/tree" && head -c 64 /dev/zero >"$WORK/tree/$i"
done
apply apply-base "" < <(tar --create --directory "$WORK/tree" .)
# Docker's own tests of drivers want this very number, which is the layer's size in docker history.
gives "says how many bytes of content it took" '{"Size":640}'
create apply-empty apply-base
apply apply-empty apply-base </dev/null
# Engines send such for steps of a build that change no file.
is "no bytes are an empty layer" "200 0" "$STATUS $(jq '.Size // 0' <<<"$BODY")"
create apply-zeros apply-base
apply apply-zeros apply-base < <(head -c 1024 /dev/zero)
is "and so are two blocks of zeros" "200 0" "$STATUS $(jq '.Size // 0' <<<"$BODY")"
