# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# overlayd adopt and release with --userns-remap, whose data root is a directory of the engine's
# needs: process
# shellcheck disable=SC2034  # read by what starts the engine
STORAGE_DRIVER=overlay2
add_remapped_user
begin_scenario --userns-remap=overlayd-test
root=$(data_root)/200000.300000
everything() {
  docker image ls --all --no-trunc --format '{{.ID}} {{.Repository}}:{{.Tag}} {{.Size}}'
  docker save busybox | sha256sum
  docker ps --all --format '{{.Names}} {{.Image}}'
  changes_of kept
}
docker run --network none --name kept busybox sh -c 'touch /f && chown 1000:2000 /f && rm /etc/group'
before=$(everything)
stop_dockerd
owners=$(find "$root/overlay2" -printf '%P %U:%G %m\n' | sort)
fails_with "the engine's own directory has no store" "with remapped users the data root is '$root'" \
  "$OVERLAYD" adopt "$(data_root)"
succeeds "that of the remapped user has" "$OVERLAYD" adopt "$root"
STORAGE_DRIVER=overlayd
start_overlayd
start_dockerd --userns-remap=overlayd-test
same "on overlayd the engine has what it had" "$before" "$(everything)"
docker commit kept mine >/dev/null
same "with the owners that containers see" "1000:2000" "$(run mine stat -c %u:%g /f)"
docker image rm mine >/dev/null
stop_dockerd
stop_overlayd
succeeds "release" "$OVERLAYD" release "$root"
same "gives the same files back, with their owners" "$owners" "$(find "$root/overlay2" -printf '%P %U:%G %m\n' | sort)"
STORAGE_DRIVER=overlay2
start_dockerd --userns-remap=overlayd-test
same "to the engine's own driver" "$before" "$(everything)"
