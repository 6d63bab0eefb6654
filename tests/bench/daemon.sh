#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What of overlayd's speed the user of a Docker engine gets: load, run, diff, commit, save, build and rmi with a
# Debian image of four layers, on the engine's own overlay2 and on overlayd, in turns, a fresh engine each time.
#
#   tests/bench/daemon.sh [--fs ext4|xfs] [--rounds N]     default: ext4, 3 rounds
#
# As run.sh, on images in memory (some 8 GB); results in build/bench/daemon.json. Debian's packages for the
# image come from the mirror that apt uses, the first time.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$HERE/../../scripts/lib/common.sh"
source "$HERE/../../scripts/lib/sandbox.sh"

RESULTS=$ROOT/build/bench
DEBIAN=$RESULTS/debian.tar

FS=ext4
ROUNDS=3

main() {
  export TMPDIR=/dev/shm
  parse "$@"
  need_root "it runs a Docker engine"
  need_command jq python3 docker dockerd debootstrap "mkfs.$FS"
  if [[ -z ${OVERLAYD_SANDBOX:-} ]]; then
    build_preset release overlayd
    make_debian
  fi
  enter_sandbox "$@"
  source "$ROOT/scripts/lib/engine.sh"
  trap stop_everything EXIT
  mkdir "$(data_root)"
  read -r LOAD _ </proc/loadavg
  local round driver drivers=(overlay2 overlayd)
  with_engine overlay2 make_image
  for ((round = 0; round < ROUNDS; round++)); do
    for driver in "${drivers[@]}"; do
      with_engine "$driver" measure "$driver"
    done
    drivers=("${drivers[1]}" "${drivers[0]}")
    say "round $((round + 1)) of $ROUNDS" >&2
  done
  write_results
  python3 "$HERE/report.py" "$RESULTS/daemon.json"
}

parse() {
  while (($#)); do
    case $1 in
      --fs) FS=${2:?} && shift ;;
      --rounds) ROUNDS=${2:?} && shift ;;
      *) die "unknown argument $1" ;;
    esac
    shift
  done
}

make_debian() {
  [[ ! -e $DEBIAN ]] || return 0
  local root
  say "making a Debian root file system" >&2
  mkdir -p "$RESULTS"
  root=$(mktemp -d /dev/shm/overlayd-debian.XXXXXX)
  # shellcheck disable=SC2064  # the directory of now is meant
  trap "rm -rf --one-file-system '$root'" EXIT
  quietly debootstrap --variant=minbase bookworm "$root"
  tar --create --numeric-owner --directory "$root" --exclude ./dev --file "$DEBIAN.new" .
  mv "$DEBIAN.new" "$DEBIAN"
  rm -rf --one-file-system "$root"
  trap - EXIT
}

# Runs COMMAND with a new engine on a new file system.
with_engine() { # DRIVER COMMAND...
  local data
  data=$(data_root)
  truncate --size 8G "$SCRATCH/disk"
  quietly "mkfs.$FS" "$SCRATCH/disk"
  mount -o loop "$SCRATCH/disk" "$data"
  STORAGE_DRIVER=$1
  start_overlayd --log-level warning
  start_dockerd
  "${@:2}"
  stop_dockerd
  stop_overlayd
  rm -rf "$STATE_DIR"
  while mountpoint --quiet "$data"; do umount "$data"; done
  rm "$SCRATCH/disk"
}

# Three layers on Debian's own: many files, many of them changed, some of them deleted.
make_image() {
  docker import "$DEBIAN" debian >/dev/null
  build image 'FROM debian
    RUN cp -a /usr /opt/usr
    RUN find /opt/usr/share -type f -exec chmod 0640 {} +
    RUN rm -r /opt/usr/share/locale /opt/usr/share/zoneinfo'
  docker save --output "$SCRATCH/image.tar" image
}

build() { # IMAGE DOCKERFILE
  mkdir -p "$SCRATCH/context"
  DOCKER_BUILDKIT=0 docker build --quiet --no-cache --network none --tag "$1" --file - \
    "$SCRATCH/context" >/dev/null <<<"$2"
}

measure() { # DRIVER
  timed "$1" load docker load --quiet --input "$SCRATCH/image.tar"
  timed "$1" run run_ten
  docker run --network none --name box image sh -c 'cp -a /opt/usr/lib /srv/lib && rm -r /opt/usr/bin'
  timed "$1" docker-diff docker diff box
  timed "$1" commit docker commit box committed
  timed "$1" save docker save committed
  timed "$1" build build built "$(printf '%s\n' 'FROM committed' 'RUN echo '{1..10}' >/step')"
  docker rm box >/dev/null
  timed "$1" rmi docker rmi built committed image
}

run_ten() {
  local _
  for _ in {1..10}; do
    docker run --rm --network none image true
  done
}

timed() { # DRIVER CASE COMMAND...
  local began=$EPOCHREALTIME
  "${@:3}" >/dev/null
  printf '%s %s %s %s\n' "$2" "${1/overlay2/docker}" "$began" "$EPOCHREALTIME" >>"$SCRATCH/times"
}

write_results() {
  jq --raw-input --null-input --arg fs "engine on $FS" --arg kernel "$(uname -r)" --arg date "$(date +%F)" \
    --argjson load "$LOAD" --argjson processors "$(nproc)" --argjson rounds "$ROUNDS" '
    [inputs | split(" ")] |
    {Kernel: $kernel, Processors: $processors, Date: $date, Load: $load, FS: $fs, Rounds: $rounds,
     Samples: (reduce .[] as [$case, $driver, $began, $ended] ({};
       .["engine-" + $case][$driver] += [($ended | tonumber) - ($began | tonumber)]))}' \
    "$SCRATCH/times" >"$RESULTS/daemon.json"
}

main "$@"
