#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Parts of tests/kernels/guest on one of Debian's kernels, in a machine made of this machine's programs. Prints TAP.
#
#   tests/kernels/run.sh KERNEL [PART...]    see scripts/kernels
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$HERE/../../scripts/lib/common.sh"
source "$HERE/../../scripts/lib/debian.sh"
source "$HERE/../../scripts/lib/kernel.sh"

PRESET=${PRESET:-ci}
OVERLAYD=${OVERLAYD:-$ROOT/build/$PRESET/overlayd}
MACHINE="" # the process
DISKS=()
SECONDS_AT_MOST=${KERNEL_SECONDS:-3000}

main() {
  local kernel=$1 parts
  shift
  parts=${*:-quota-xfs quota-ext4 mounts protocol integration engine-xfs engine-ext4}
  need_command qemu-system-x86_64 mkfs.xfs mkfs.ext4 busybox curl jq
  need_kernel "$kernel"
  SCRATCH=$(mktemp -d "${TMPDIR:-/var/tmp}/overlayd-kernels.XXXXXX")
  trap finish EXIT
  trap 'exit 1' INT TERM HUP
  make_disks
  [[ " $parts" != *" engine-"* ]] || make_engine_disk
  make_tree "$kernel" "$parts"
  say "# Linux $kernel: $parts"
  start_machine "$kernel"
  # In the background, as a signal to this script is heard only while it waits.
  tail --pid "$MACHINE" --sleep-interval 0.5 --follow --lines +1 "$SCRATCH/serial" | show "$kernel" &
  wait "$!" || true
  judge "$kernel"
}

finish() {
  [[ -z $MACHINE ]] || kill "$MACHINE" 2>/dev/null || true
  wait
  rm -rf "$SCRATCH"
}

# Sets MACHINE. Now and then qemu's machine hangs before its kernel says a word; that is nothing of ours.
start_machine() { # KERNEL
  local _
  for _ in 1 2 3; do
    : >"$SCRATCH/serial"
    boot_kernel "$1" "$SCRATCH/initramfs" "$SECONDS_AT_MOST" "${DISKS[@]}" >"$SCRATCH/serial" 2>&1 &
    MACHINE=$!
    wait_for 120 is_up_or_ended && return
    kill "$MACHINE"
    wait "$MACHINE" || true
    say "# the machine did not boot"
  done
}

is_up_or_ended() { grep -qa '^# up' "$SCRATCH/serial" || ! kill -0 "$MACHINE" 2>/dev/null; }

# Results and what is said about them, from all that comes over the serial line.
show() { # KERNEL
  sed -un "s/\r//g; s/^\(not ok\|ok\) \([0-9]* *-\)/\1 \2 $1/p; /^[0-9]*\.\.[0-9]*\$/p; /^#/p; /^end of/p" |
    tee "$SCRATCH/output"
}

# What does not end by itself has failed, however many cases had passed.
judge() { # KERNEL
  local failed=0
  grep -q '^end of all parts$' "$SCRATCH/output" || {
    say "not ok - $1 gets to its end"
    failed=1
  }
  ! grep -q '^not ok' "$SCRATCH/output" || failed=1
  ((failed == 0)) || {
    say "# the last lines of the serial line"
    tail -n 40 "$SCRATCH/serial" | tr -d '\r' | grep -avE '^(ok|#)' | cat -v | sed 's/^/# /'
  }
  return "$failed"
}

# Sparse; the guest mounts them with and without quotas.
make_disks() {
  DISKS=("$SCRATCH/xfs" "$SCRATCH/ext4")
  truncate --size 1G "${DISKS[@]}"
  mkfs.xfs -q "$SCRATCH/xfs"
  mkfs.ext4 -q -O quota,project "$SCRATCH/ext4"
}

# A system with a Docker engine.
make_engine_disk() {
  need_debian12_scenarios
  DISKS+=("$SCRATCH/engine")
  truncate --size 2G "$SCRATCH/engine"
  mkfs.ext4 -q -d "$DEBIAN12_SCENARIOS" "$SCRATCH/engine"
}

make_tree() { # KERNEL PARTS
  local tree=$SCRATCH/tree program applet
  mkdir -p "$tree"/{bin,dev,disk,etc,proc,root,run,sys,tmp,usr/bin,usr/sbin,var/tmp}
  cp -r "$(kernel_directory "$1")/lib" "$tree"
  install -m 0755 "$(command -v busybox)" "$tree/bin/busybox"
  for applet in $(busybox --list); do
    [[ $applet == busybox ]] || ln -s busybox "$tree/bin/$applet"
  done
  ln -s /bin/env "$tree/usr/bin/env"
  for program in bash curl jq tar chattr stat find; do
    rm -f "$tree/bin/$program"
    add_program "$tree" "$program"
  done
  ln -sf "$(command -v bash)" "$tree/bin/bash"
  printf 'root:x:0:0:root:/root:/bin/sh\n' >"$tree/etc/passwd"
  install -D -m 0755 --strip-program=strip --strip "$OVERLAYD" "$SCRATCH/overlayd"
  add_program "$tree" "$SCRATCH/overlayd" /usr/bin/overlayd
  install -m 0755 --strip "$(dirname "$OVERLAYD")/integration_tests" "$SCRATCH/integration_tests"
  add_program "$tree" "$SCRATCH/integration_tests" /usr/bin/integration_tests
  # Where the tests were compiled to look for it.
  mkdir -p "$tree$ROOT/tests/conformance"
  cp -r "$ROOT/tests/data" "$ROOT/tests/kernels" "$ROOT/tests/e2e" "$tree$ROOT/tests"
  cp -r "$ROOT/tests/conformance/protocol" "$tree$ROOT/tests/conformance"
  cp -r "$ROOT/scripts" "$ROOT/config.json" "$tree$ROOT"
  printf '%s\n' "$ROOT/tests/kernels/guest" >"$tree/etc/tests"
  printf '%s\n' "$2" >"$tree/etc/parts"
  install -m 0755 "$HERE/guest/init" "$tree/init"
  (cd "$tree" && find . | busybox cpio -o -H newc 2>/dev/null) >"$SCRATCH/initramfs"
}

main "$@"
