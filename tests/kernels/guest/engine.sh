#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Scenarios of tests/e2e with a Docker engine, in a system of its own on the third disk, whose scratch directory has
# project quotas: on xfs or ext4.
HERE=$(dirname "${BASH_SOURCE[0]}")
FS=$1
SCENARIOS=("${@:2}")
((${#SCENARIOS[@]} > 0)) || SCENARIOS=(quota)
REPOSITORY=$(cd "$HERE/../../.." && pwd)
SYSTEM=/engine
case $FS in
  xfs) DEVICE=/dev/vda ;;
  ext4) DEVICE=/dev/vdb ;;
esac

# The system of the disk, with what is under test, and the tests.
prepare() {
  local library
  mkdir -p "$SYSTEM"
  mount -t ext4 /dev/vdc "$SYSTEM"
  mkdir -p "$SYSTEM/disk" "$SYSTEM$REPOSITORY"
  cp -r "$REPOSITORY/." "$SYSTEM$REPOSITORY"
  cp /usr/bin/overlayd "$SYSTEM/usr/bin/overlayd"
  for library in /lib/x86_64-linux-gnu/*; do
    [[ -e $SYSTEM$library ]] || cp "$library" "$SYSTEM$library"
  done
  mount -t "$FS" -o prjquota "$DEVICE" "$SYSTEM/disk"
  mount -t proc proc "$SYSTEM/proc"
  mount -t sysfs sysfs "$SYSTEM/sys"
  mount -t cgroup2 cgroup2 "$SYSTEM/sys/fs/cgroup"
  mount -t devtmpfs devtmpfs "$SYSTEM/dev"
}

# Becomes the root of a mount namespace: an engine's containers cannot leave the initramfs, which is no mount.
in_system() { # VARIABLE=VALUE... COMMAND...
  unshare -m sh -c "cd $SYSTEM && mount --move . / && exec chroot . env \"\$@\"" in_system "$@"
}

forget() {
  umount "$SYSTEM/disk" "$SYSTEM/dev" "$SYSTEM/sys/fs/cgroup" "$SYSTEM/sys" "$SYSTEM/proc" "$SYSTEM"
}

prepare || exit 2
status=0
for way in legacy managed; do
  echo "# $FS: the engine with overlayd as a $way plugin"
  in_system WAY="$way" TMPDIR=/disk OVERLAYD=/usr/bin/overlayd AT_ONCE=1 \
    "$REPOSITORY/tests/e2e/run.sh" "${SCENARIOS[@]}" 2>&1 || status=1
done
forget || exit 2
exit "$status"
