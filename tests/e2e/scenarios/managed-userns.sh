# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# a managed plugin and --userns-remap, once the remapped root may pass through the engine's plugin directories
# needs: overlayd
add_remapped_user
begin_managed overlayd:latest --userns-remap=overlayd-test

same "the store is below the remapped root" "$(data_root)/200000.300000/plugins/$PLUGIN_ID/propagated-mount/$PLUGIN" "$(home)"
fails_with "the engine keeps its plugins from the remapped root" "permission denied" run busybox true
chmod o+x "$(data_root)/200000.300000/plugins" "$(data_root)/200000.300000/plugins/$PLUGIN_ID"
run_idle remapped busybox
pid=$(docker inspect --format '{{.State.Pid}}' remapped)
same "container root is user 200000" "200000:300000" "$(stat -c %u:%g "/proc/$pid")"
same "an image's files belong to it" "200000:300000" "$(stat -c %u:%g "$(inside remapped)/bin/busybox")"
same "inside they are root's" "0:0" "$(docker exec remapped stat -c %u:%g /bin/busybox)"
docker exec remapped sh -c 'touch /g && chown 1000:2000 /g && rm /etc/group'
same "changes are seen" "C /etc
D /etc/group
A /g" "$(changes_of remapped)"
succeeds "commit" docker commit remapped mine
same "keeps owners as the container saw them" "1000:2000" "$(run mine stat -c %u:%g /g)"
context=$(new_context mapped <<'END'
FROM mine
RUN chown 7:8 /tmp
END
)
succeeds "build" buildkit_build mapped "$context"
same "maps what RUN does" "7:8" "$(run mapped stat -c %u:%g /tmp)"
kill_plugin
on_plugin --userns-remap=overlayd-test
same "and still after a crash of the plugin and a restart of the engine" "1000:2000" "$(run mapped stat -c %u:%g /g)"
end_managed --userns-remap=overlayd-test
