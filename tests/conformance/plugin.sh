# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# The plugin under test, for the scripts here that speak to its socket. Sourced after scripts/lib/engine.sh.

PLUGIN_PID="" # of a managed plugin

# Starts OVERLAYD as WAY says and sets PLUGIN_SOCKET, and PLUGIN_ROOT to what is in front of its paths.
start_plugin() {
  if [[ $WAY == legacy ]]; then
    start_overlayd
    return
  fi
  # An engine runs it, but does not store with it.
  source "$ROOT/tests/e2e/managed.sh"
  mkdir -p "$(data_root)"
  make_bundle "$SCRATCH/bundle"
  on_builtin_driver
  quietly docker plugin create overlayd "$SCRATCH/bundle"
  quietly docker plugin enable overlayd
  PLUGIN_PID=$(plugin_pid)
  # shellcheck disable=SC2034  # read by those who source this
  PLUGIN_SOCKET=$(echo /run/docker/plugins/*/overlayd.sock)
  export PLUGIN_ROOT=/proc/$PLUGIN_PID/root
}
