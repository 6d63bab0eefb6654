#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Plugin.Activate: the first call to a legacy plugin, without a body. Managed plugins are not sent it: there the
# manifest says what they are.
source "$(dirname "$0")/lib.sh"

call Plugin.Activate
# Docker compares the name as it is spelt here.
gives "is a graphdriver" '{"Implements":["GraphDriver"]}'
