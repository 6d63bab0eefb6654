#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A path that is not known: 404, by which Docker's client knows that there are no Capabilities.
source "$(dirname "$0")/lib.sh"

call GraphDriver.Nothing '{}'
refused "an endpoint of the future" "no such endpoint: POST '/GraphDriver.Nothing'" 404
is "by its status" "404" "$STATUS"
call VolumeDriver.Create '{}'
refused "of another kind of plugin" "no such endpoint: POST '/VolumeDriver.Create'" 404
