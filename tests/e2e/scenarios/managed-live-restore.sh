# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# a managed plugin and --live-restore: it runs on while the engine restarts, with and without containers
# needs: overlayd

# An engine that stops without containers unmounts what it shares with the plugin, and leaves that running. Where
# no other mount is shared, as here, the plugin starts anew when the engine is back: for the first time as soon as
# the engine has it as its driver.
#
# The other engine's system shares the scratch directory with this one.
cuts=1
[[ -z $ENGINE_ROOT ]] || cuts=0
allow_error "does not reach the engine; ending, to be started anew"
begin_managed overlayd:latest --live-restore
started_anew() { plugin_log | grep -c 'to be started anew' || true; }
same "cut off from the engine, the plugin starts anew" "$cuts" "$(started_anew)"
docker create --name alive --network none --stop-signal KILL busybox sleep 100000 >/dev/null
on_plugin --live-restore
same "and again" "$((2 * cuts))" "$(started_anew)"

docker start alive >/dev/null
docker exec alive sh -c 'echo one >/log'
processes() { docker inspect --format '{{.State.Pid}}' alive && plugin_pid; }
before=$(processes)
mounts=$(layer_mounts)
on_plugin --live-restore
same "with a container, both run on while the engine restarts" "$before" "$(processes)"
same "and the layers stay mounted" "$mounts" "$(layer_mounts)"
kill_dockerd
start_dockerd --live-restore
same "and while it is killed" "$before" "$(processes)"
same "and the layers stay mounted then" "$mounts" "$(layer_mounts)"
same "the container has its files" "one two" "$(docker exec alive sh -c 'echo two >>/log && echo $(cat /log)')"
same "and others start" "started" "$(run busybox echo started)"
kill_plugin
same "also after a crash of the plugin" "started" "$(run busybox echo started)"
same "with the layers still mounted" "$mounts" "$(layer_mounts)"
same "none of this made the plugin start anew" "$((2 * cuts))" "$(started_anew)"
end_managed --live-restore
