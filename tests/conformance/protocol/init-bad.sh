#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# GraphDriver.Init that cannot be served. The daemon then does not start; it shows the text in its log only.
source "$(dirname "$0")/lib.sh"

with() { # HOME OPTS
  call GraphDriver.Init "{\"Home\":\"$1\",\"Opts\":$2,\"UIDMaps\":null,\"GIDMaps\":null}"
}
init

with "" null
refused "without a home" "GraphDriver.Init: field 'Home' is not an absolute path"
with relative null
refused "with a relative home" "GraphDriver.Init: field 'Home' is not an absolute path"
with "$HOME_DIR" '["no.such=option"]'
refused "with an option that is not known" "open the store in '$HOME_DIR': option 'no.such' is unknown"

create init-bad
gives "the home before is served on" '{}'
