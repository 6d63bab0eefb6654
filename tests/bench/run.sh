#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# How fast overlayd is, against Docker's own overlay2 driver in one process, against the same driver behind a
# plugin in Go, and against a program that makes only the system calls it must.
#
#   tests/bench/run.sh [--fs ext4|xfs] [--rounds N] [FILTER]     default: both, 5 rounds, everything
#   tests/bench/run.sh --docs                                    writes the last results to docs/
#   tests/bench/run.sh --build                                   only makes what measures
#
# FILTER is a regular expression over the cases of targets.json. The file systems are images in memory
# (/dev/shm; some 12 GB of it are needed), so that a disk's moods do not count. Every round runs every
# contestant, another one first each time; what counts is the ratio of medians. Results are kept as
# build/bench/FS.json (part/FS.json with a FILTER), which report.py prints as tables. Needs root and a machine
# with nothing else to do. FS-calls-*.strace beside them say which system calls there were. OVERLAYD names
# another binary than build/release/overlayd.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$HERE/../../scripts/lib/common.sh"
source "$HERE/../../scripts/lib/sandbox.sh"
source "$HERE/../../scripts/lib/docker-sources.sh"

DRIVERS=$DOCKER_SOURCES/bench
RESULTS=$ROOT/build/bench
OVERLAYD=${OVERLAYD:-$ROOT/build/release/overlayd}

FILESYSTEMS=(ext4 xfs)
ROUNDS=5
FILTER=.

main() {
  export TMPDIR=/dev/shm
  parse "$@"
  need_root "it mounts layers"
  need_command python3
  if [[ -z ${OVERLAYD_SANDBOX:-} ]]; then
    need_command mkfs.ext4 mkfs.xfs strace
    build_preset release overlayd floor
    build_drivers
  fi
  enter_sandbox "$@"
  trap leave EXIT
  local fs results=()
  for fs in "${FILESYSTEMS[@]}"; do
    measure "$fs"
    results+=("$RESULTS/$fs.json")
  done
  python3 "$HERE/report.py" "${results[@]}"
}

build_drivers() {
  fetch_docker_sources "$ROOT/tests/conformance/graphtest/missing" "$ROOT/tests/conformance/judge/missing"
  go_among_docker_sources "$HERE/drivers" build -o "$DRIVERS" .
}

parse() {
  while (($#)); do
    case $1 in
      --fs) FILESYSTEMS=("${2:?}") && shift ;;
      --rounds) ROUNDS=${2:?} && shift ;;
      --docs) write_docs ;;
      --build)
        build_drivers
        say "ok - the benchmarks can be built"
        exit
        ;;
      -*) die "unknown option $1" ;;
      *) FILTER=$1 RESULTS=$ROOT/build/bench/part ;;
    esac
    shift
  done
}

write_docs() {
  local name results=()
  for name in ext4 xfs daemon; do
    [[ ! -e $RESULTS/$name.json ]] || results+=("$RESULTS/$name.json")
  done
  exec python3 "$HERE/report.py" --docs "${results[@]}"
}

measure() { # FS
  local point=$SCRATCH/$1
  mkdir "$point" "$SCRATCH/tars"
  truncate --size 12G "$point.img"
  quietly "mkfs.$1" "$point.img"
  mount -o loop "$point.img" "$point"
  mkdir "$point/home"
  if ! "$DRIVERS" -home "$point/home" -scratch "$SCRATCH/tars" -overlayd "$OVERLAYD" \
    -floor "$ROOT/build/release/floor" -output "$RESULTS/$1.json" -fs "$1" -rounds "$ROUNDS" -filter "$FILTER"; then
    find "$SCRATCH/tars" -name "*.log" -exec tail -n 5 {} + >&2
    return 1
  fi
  take_down "$point"
  rm -r "$point.img" "$SCRATCH/tars"
}

# Containers of the benchmark are still mounted.
take_down() { # DIRECTORY
  local point
  while point=$(mounts_below "$1" | tail -n 1) && [[ -n $point ]]; do
    umount "$point"
  done
}

leave() {
  take_down "$SCRATCH" || true
}

main "$@"
