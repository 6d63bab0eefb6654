# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# overlayd as a managed plugin: what its scenarios share. Sourced by them.

# A bundle at DIRECTORY with the binary under test. Where this machine itself runs with less than every
# capability, a plugin cannot have more.
make_bundle() { # DIRECTORY
  local held config
  OVERLAYD=$OVERLAYD "$ROOT/scripts/build-plugin" "$1" >/dev/null
  held=$(capsh --decode="$(sed -n 's/^CapBnd:\s*//p' /proc/self/status)" | tr '[:lower:]' '[:upper:]')
  config=$(jq --arg held "$held" '.Linux.Capabilities |= map(select(. as $one | $held | contains($one)))' \
    "$1/config.json")
  printf '%s\n' "$config" >"$1/config.json"
}
