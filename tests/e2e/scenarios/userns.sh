# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# --userns-remap: root of the containers is an ordinary user outside, images hold what it sees
add_remapped_user
begin_scenario --userns-remap=overlayd-test
# The engine itself keeps its managed plugins from the remapped root; see managed-userns.
[[ $WAY == legacy ]] || chmod o+x "$(data_root)"/200000.300000/plugins{,/*}

owner() { stat --format '%u:%g' "$@"; }

same "the store is below the remapped root" "$(data_root)/200000.300000/" "$(home | grep -o "^$(data_root)/[^/]*/")"
run_idle remapped busybox
same "container root is user 200000" "200000:300000" "$(owner "/proc/$(docker inspect --format '{{.State.Pid}}' remapped)")"
same "an image's files belong to it" "200000:300000 200000:300000" \
  "$(owner "$(inside remapped)/bin/busybox" "$(inside remapped)/tmp" | tr '\n' ' ' | sed 's/ $//')"
same "inside it is root" "0:0" "$(docker exec remapped stat -c %u:%g /bin/busybox)"

docker exec remapped sh -c 'touch /f /g && chown 1000:2000 /g && mkdir /d && chmod 4755 /f && mknod /p p && rm /etc/group'
same "what it makes is remapped" "200000:300000 201000:302000" "$(owner "$(inside remapped)"/{f,g} | tr '\n' ' ' | sed 's/ $//')"
same "changes are seen" "A /d
C /etc
D /etc/group
A /f
A /g
A /p" "$(changes_of remapped)"
record_container remapped remapped
succeeds "commit" docker commit remapped mine
record_image mine mine
same "keeps owners and modes as the container saw them" "/f 0:0 4755
/g 1000:2000 644
/p 0:0 644" "$(run mine stat -c '%n %u:%g %a' /f /g /p)"

succeeds "cp in" docker cp "$SCRATCH/daemon.json" remapped:/copied
same "can be read inside" "$(cat "$SCRATCH/daemon.json")" "$(docker exec remapped cat /copied)"

context=$(new_context mapped <<'END'
FROM busybox
COPY --chown=5:6 file /file
RUN chown 7:8 /tmp && echo built >/built
END
)
echo content >"$context/file"
succeeds "classic build" classic_build mapped "$context"
same "maps COPY and RUN" "/file 5:6
/tmp 7:8
/built 0:0" "$(run mapped stat -c '%n %u:%g' /file /tmp /built)"

record_image mapped mapped 2
# An archive holds the ids of the containers, so that it fits any mapping.
docker save --output "$SCRATCH/mapped.tar" mapped
layers=$(docker image inspect mapped --format '{{json .RootFS.Layers}}')
docker rm --force remapped >/dev/null
remove_everything
succeeds "save and load" docker load --quiet --input "$SCRATCH/mapped.tar"
same "give the same layers" "$layers" "$(docker image inspect mapped --format '{{json .RootFS.Layers}}')"
record_image loaded mapped 2
same "and owners" "5:6 7:8" "$(run mapped stat -c %u:%g /file /tmp | tr '\n' ' ' | sed 's/ $//')"
