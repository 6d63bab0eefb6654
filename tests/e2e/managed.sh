# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# overlayd as a managed plugin, in place of begin_scenario and in front of end_scenario. Sourced after lib.sh.

PLUGIN=""    # its NAME:TAG, which is also the engine's storage driver
PLUGIN_ID="" # the engine's own name for it

# A bundle at DIRECTORY with the binary under test.
make_bundle() { OVERLAYD=$OVERLAYD "$ROOT/scripts/build-plugin" "$1" >/dev/null; } # DIRECTORY

edit_config() { # BUNDLE JQ-ARG...
  local config=$1/config.json changed
  shift
  changed=$(jq "$@" "$config")
  printf '%s\n' "$changed" >"$config"
}

# Makes and enables the plugin NAME:TAG in an engine with a driver of its own, as a user has to, and starts
# the engine again on it.
begin_managed() { # NAME:TAG [DOCKERD ARG...]
  PLUGIN=$1
  shift
  mkdir -p "$(data_root)"
  make_bundle "$SCRATCH/bundle"
  on_builtin_driver "$@"
  docker plugin create "$PLUGIN" "$SCRATCH/bundle" >/dev/null
  docker plugin enable "$PLUGIN" >/dev/null
  PLUGIN_ID=$(docker plugin inspect --format '{{.Id}}' "$PLUGIN")
  on_plugin "$@"
  import_busybox busybox >/dev/null
}

# Restarts the engine on the driver it has built in, or on the plugin.
on_builtin_driver() { # [DOCKERD ARG...]
  stop_dockerd
  STORAGE_DRIVER=overlay2
  start_dockerd "$@"
}

on_plugin() { # [DOCKERD ARG...]
  stop_dockerd
  # shellcheck disable=SC2034  # read by engine.sh
  STORAGE_DRIVER=$PLUGIN
  start_dockerd "$@"
}

# The plugin's process: no other has this binary as its first word.
plugin_pid() { grep --files-with-matches --text '^/usr/bin/overlayd' /proc/[0-9]*/cmdline 2>/dev/null | cut -d / -f 3; }

# Not just started: a call that meets no listener the engine sends again without its body.
plugin_is_another() { # THAN-PID LINES-OF-LOG
  [[ $(plugin_pid) && $(plugin_pid) != "$1" ]] && plugin_log | tail -n "+$(($2 + 1))" | grep -q 'ready: listening'
}

plugin_has_ended() { [[ -z $(plugin_pid) ]]; }

# While no engine runs.
end_plugin() {
  kill -KILL "$(plugin_pid)"
  wait_for 10 plugin_has_ended
}

# The engine starts it again.
kill_plugin() {
  local before lines
  before=$(plugin_pid)
  lines=$(plugin_log | wc -l)
  kill -KILL "$before"
  eventually "a killed plugin is started again" 20 plugin_is_another "$before" "$lines"
}

# The plugin's log is part of the engine's.
plugin_log() { sed -nE "s/^.* msg=\"(.*)\" plugin=$PLUGIN_ID.*$/\1/p" "$DOCKERD_LOG"; }

# In front of end_scenario: everything can be removed, and then, from an engine that is not on it, the plugin.
end_managed() { # [DOCKERD ARG...]
  succeeds "end: everything on the plugin can be removed" remove_everything
  eventually "end: no layer of the plugin is mounted" 10 nothing_is_mounted
  eventually "end: no layer is left in the plugin" 10 store_has_no_layers
  eventually "end: its staging and trash are empty" 30 store_has_no_leftovers
  same "end: the plugin logged no warning and no error" "" "$(plugin_log | bad_lines)"
  on_builtin_driver "$@"
  succeeds "end: the plugin can be removed" docker plugin rm --force "$PLUGIN"
  same "end: with all that the engine mounted for it" "" "$(mounts_below "$(data_root)" | grep /plugins/ || true)"
}
