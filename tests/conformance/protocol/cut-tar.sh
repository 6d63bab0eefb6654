#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A tar that ends too early. An engine names a layer by the hash of the bytes that it sent, so a plugin that calls half
# of them a success has recorded a layer that is not what its name says.
source "$(dirname "$0")/lib.sh"

init
head -c 100000 /dev/zero >"$WORK/file"
tar --create --file "$WORK/tar" --directory "$WORK" file
create cut
apply cut "" < <(head -c 50000 "$WORK/tar")
refused "in the middle of a file" "apply layer 'cut': entry 'file' at offset 0: tar member 'file' at offset 0: truncated tar archive"
# The call may come again, with what is left of the tar.
apply cut "" <"$WORK/tar"
refused "again: the layer is spoiled" "layer 'cut' can only be removed: its ApplyDiff did not finish"
get cut
refused "and cannot be mounted" "layer 'cut' can only be removed: its ApplyDiff did not finish"
