# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# limits where the file system can have none are refused, and what is missing is said
# needs: process

# The driver's home gets a file system of its own, which has no project quotas whatever the kernel.
mkdir -p "$(data_root)/$STORAGE_DRIVER"
mount --bind "$(data_root)" "$(data_root)"
mount --make-shared "$(data_root)"
truncate --size 200M "$SCRATCH/home.disk"
mkfs.ext4 -q -O ^project,^quota "$SCRATCH/home.disk"
mount -o loop "$SCRATCH/home.disk" "$(data_root)/$STORAGE_DRIVER"
begin_scenario

MISSING="layers cannot be limited here: its file system (extfs) has no project quotas switched on: "
allow_error "$MISSING"

layers=$(layers_on_disk)
same "the engine is told that there are none" "false" "$(quota_row)"
succeeds "status says the same" grep -F 'its file system (extfs) has no project quotas switched on: ' <<<"$("$OVERLAYD" status "$(home)")"
fails_with "a container with a size is refused" "$MISSING" run --storage-opt size=10G busybox true
fails_with "and one with a number of files" "$MISSING" run --storage-opt inodes=100 busybox true
allow_error "is not a size"
fails_with "a size that is none is named" "'much' is not a size, such as 10G or 512m" \
  run --storage-opt size=much busybox true
same "no layer is left of them" "$layers" "$(layers_on_disk)"
same "size=0 asks for no limit" "runs" "$(run --storage-opt size=0 busybox echo runs)"

stop_dockerd
stop_overlayd
start_overlayd
for option in overlayd.size=10G overlay2.size=10G overlayd.inodes=1000; do
  fails_with "an engine with $option does not start" "dockerd did not start" start_dockerd --storage-opt "$option"
  succeeds "and says why" grep -F "$MISSING" "$DOCKERD_LOG"
  : >"$DOCKERD_LOG"
done
start_dockerd --storage-opt overlayd.project_ids=5000-5999
same "without them it does" "runs" "$(run busybox echo runs)"
