#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# GraphDriver.Diff: what a layer has on top of another one, as a tar without compression.
source "$(dirname "$0")/lib.sh"

init
filled diff-base "" 'echo one >one && echo two >two && mkdir dir'
filled diff-middle diff-base 'echo three >three'
filled diff-top diff-middle 'echo changed >one && touch .wh.two'
names() { tar --list --file "$WORK/body" | sed 's|^\./||' | grep . | sort | xargs; }

call GraphDriver.Diff '{"ID":"diff-top","Parent":"diff-middle"}'
is "on its parent" "200 .wh.two one" "$STATUS $(names)"
is "with content" "changed" "$(tar --extract --to-stdout --file "$WORK/body" one)"
[[ -z $EXACT ]] || is "and a type of its own" "application/x-tar" "$TYPE"
cp "$WORK/body" "$WORK/first"
call GraphDriver.Diff '{"ID":"diff-top","Parent":"diff-middle"}'
# A layer's name is the hash of its tar.
is "again: the same bytes" "$(sha256sum <"$WORK/first")" "$(sha256sum <"$WORK/body")"
# docker build --squash asks for these.
call GraphDriver.Diff '{"ID":"diff-top","Parent":"diff-base"}'
is "on a layer further down" "200 .wh.two one three" "$STATUS $(names)"
call GraphDriver.Diff '{"ID":"diff-top","Parent":""}'
is "on nothing: the whole tree" "200 dir/ one three" "$STATUS $(names)"
