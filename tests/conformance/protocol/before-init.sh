#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Calls to a plugin that has never had an Init, which is only so when it was just installed. Start it anew for this.
source "$(dirname "$0")/lib.sh"

call Plugin.Activate
gives "it can be activated" '{"Implements":["GraphDriver"]}'
call GraphDriver.Create '{"ID":"early","Parent":""}'
refused "and makes no layer" "overlayd is not initialised: it has never had an Init"
