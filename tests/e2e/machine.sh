# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# A Debian 12 machine with systemd and its own docker.service, in a tree with a layer of its own for all that is
# done to it. It has its own processes, mounts, network and control groups. Sourced after lib.sh.

MACHINE=$SCRATCH/machine # its root directory
MACHINE_PID=""           # of the process that it ends with
on_machine=()            # what a command is put behind to run there, once it is booted

# Before it is booted programs of it can be run with in_tree, which have this machine's network.
make_machine() {
  local layers=$SCRATCH/machine-layers
  need_debian12
  mkdir -p "$MACHINE" "$layers"/{upper,work} "$DEBIAN12.archives/partial"
  mount -t overlay overlay "$MACHINE" -o "lowerdir=$DEBIAN12,upperdir=$layers/upper,workdir=$layers/work"
  # An engine's layers cannot lie on an overlay.
  mkdir -p "$layers/docker" "$MACHINE/var/lib/docker"
  mount --bind "$layers/docker" "$MACHINE/var/lib/docker"
  # What it installs is downloaded once.
  mount --bind "$DEBIAN12.archives" "$MACHINE/var/cache/apt/archives"
  cat /etc/resolv.conf >"$MACHINE/etc/resolv.conf"
  mount -t tmpfs -o mode=0755 tmpfs "$MACHINE/dev"
  cp -a /dev/{null,zero,full,random,urandom,tty} "$MACHINE/dev"
  mkdir "$MACHINE"/dev/{pts,shm}
  mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts "$MACHINE/dev/pts"
  ln -s pts/ptmx "$MACHINE/dev/ptmx"
  mount -t tmpfs -o mode=0755 tmpfs "$MACHINE/run"
}

in_tree() { DEBIAN_FRONTEND=noninteractive chroot "$MACHINE" "$@"; } # COMMAND...

# $1: the tree, $2: the control group. What the kernel has one of for all machines is not for this one to set:
# /proc/sys is read-only.
BOOT='
  echo 0 >"$2/cgroup.procs"
  cd "$1"
  mount -t proc proc proc
  mount --bind proc/sys proc/sys
  mount -o remount,bind,ro proc/sys
  mount -t sysfs -o ro sysfs sys
  exec unshare --cgroup sh -ec "
    mount -t cgroup2 cgroup2 sys/fs/cgroup
    pivot_root . mnt
    umount --lazy mnt
    exec env --ignore-environment container=overlayd-test PATH=\"$PATH\" /lib/systemd/systemd"'

boot_machine() {
  local groups=$SCRATCH/cgroup2
  mkdir -p "$groups"
  mount -t cgroup2 cgroup2 "$groups"
  mkdir -p "$groups$CGROUP/machine"
  setsid unshare --mount --propagation private --pid --fork --kill-child --net --uts --ipc \
    sh -ec "$BOOT" boot "$MACHINE" "$groups$CGROUP/machine" >"$SCRATCH/machine.log" 2>&1 </dev/null &
  MACHINE_PID=$!
  wait_for 20 machine_answers || die "the machine does not boot: $(cat "$SCRATCH/machine.log")"
}

machine_answers() {
  local init
  init=$(cat "/proc/$MACHINE_PID/task/$MACHINE_PID/children") || return 1
  on_machine=(nsenter --target "${init% }" --mount --uts --ipc --net --pid --cgroup --root --wd)
  "${on_machine[@]}" systemctl show --property Version >/dev/null 2>&1
}

# Turns it off, as its own administrator would.
end_machine() {
  "${on_machine[@]}" systemctl poweroff
  wait_for 60 has_ended "$MACHINE_PID" || die "the machine does not end"
  wait "$MACHINE_PID" || true
  find "$SCRATCH/cgroup2$CGROUP" -depth -type d -exec rmdir {} +
  umount "$SCRATCH/cgroup2"
  umount --recursive "$MACHINE"
}
