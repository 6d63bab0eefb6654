# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# overlayd and a scratch Docker engine on top of it, inside the sandbox. Sourced after sandbox.sh.
#
# ENGINE          the engine's version: 20.10 (the default) is Debian 12's, of this machine, 26.1 is Debian
#                 13's, in a system of its own (debian.sh)
# STORAGE_DRIVER  what the engine stores with; "overlayd" (the default), any other name is one of the
#                 engine's own drivers and serves as the judge of a test
# WAY             how the engine gets overlayd: "legacy" (the default) starts it first, with a socket where
#                 engines look for plugins; "managed" has the engine run it, from scripts/build-plugin's bundle
# OVERLAYD        the binary

source "$(dirname "${BASH_SOURCE[0]}")/debian.sh"

ENGINE=${ENGINE:-20.10}
STORAGE_DRIVER=${STORAGE_DRIVER:-overlayd}
WAY=${WAY:-legacy}
OVERLAYD=${OVERLAYD:-$ROOT/build/release/overlayd}

PLUGIN_SOCKET=/run/docker/plugins/overlayd.sock
STATE_DIR=/run/overlayd
OVERLAYD_LOG=${SCRATCH:-}/overlayd.log
DOCKERD_LOG=${SCRATCH:-}/dockerd.log
OVERLAYD_PID=""
DOCKERD_PID=""

# Debian's client, by its path: another one earlier in PATH may lack the builders that ship with this one.
DOCKER=docker
[[ ! -x /usr/bin/docker ]] || DOCKER=/usr/bin/docker

docker() { "${enter_engine[@]}" "$DOCKER" "$@"; }

uses_overlayd() { [[ $STORAGE_DRIVER == overlayd ]]; }

# Whether there is a process of overlayd that a scenario can stop and start.
runs_overlayd() { uses_overlayd && [[ $WAY == legacy ]]; }

# --- the engine's system --------------------------------------------------------------------------

# Outside the sandbox: everything that the chosen engine is made of is there, or the script ends.
need_engine() {
  case $ENGINE in
    20.10) need_command docker dockerd containerd ;;
    26.1) need_debian13 ;;
    *) die "there is no engine $ENGINE; 20.10 and 26.1 are known" ;;
  esac
  case $WAY in
    legacy) ;;
    managed) need_command capsh jq ldd strip ;;
    *) die "there is no way $WAY; legacy and managed are known" ;;
  esac
}

# Its root directory as seen from here; empty where that is the machine's own.
ENGINE_ROOT=""

# What a command is put behind to run there.
enter_engine=()

# Another Debian's engine runs in that Debian's files, with a layer of its own over them, and shares with us
# the scratch directory, where mounts of either side must reach the other, /run, and what the kernel shows.
# It gets a mount namespace with that root: what joins a container's mounts begins at the namespace's root,
# which chroot(2) does not change.
prepare_engine_root() { # inside the sandbox, once
  local dir
  [[ $ENGINE == 26.1 ]] || return 0
  ENGINE_ROOT=/run/engine
  mkdir -p "$ENGINE_ROOT" "$SCRATCH"/engine/{upper,work}
  mount -t overlay overlay "$ENGINE_ROOT" \
    -o "lowerdir=$DEBIAN13,upperdir=$SCRATCH/engine/upper,workdir=$SCRATCH/engine/work"
  for dir in /dev /proc /sys; do
    mount --rbind "$dir" "$ENGINE_ROOT$dir"
  done
  mount --bind /run "$ENGINE_ROOT/run"
  mount --bind "$SCRATCH" "$SCRATCH"
  mount --make-shared "$SCRATCH"
  mkdir -p "$ENGINE_ROOT$SCRATCH"
  mount --bind "$SCRATCH" "$ENGINE_ROOT$SCRATCH"
  # The namespace is held by a descriptor.
  coproc PIVOT {
    exec unshare --mount --propagation unchanged sh -ec "
      cd $ENGINE_ROOT
      pivot_root . mnt
      mount --make-rprivate /mnt
      umount --lazy /mnt
      echo ready
      read -r _"
  }
  local held pid=$PIVOT_PID
  read -r _ <&"${PIVOT[0]}" || die "the engine's system cannot be entered"
  exec {held}<"/proc/$pid/ns/mnt"
  echo >&"${PIVOT[1]}"
  wait "$pid"
  enter_engine=(nsenter "--mount=/proc/self/fd/$held")
}

# The engine's /etc, to be changed: sets ETC. The machine's own gets a layer in this sandbox, gone at the end.
ETC=""
own_etc() {
  ETC=$ENGINE_ROOT/etc
  if [[ $ETC == /etc ]]; then
    mkdir -p "$SCRATCH"/etc/{upper,work}
    mount -t overlay overlay -o "lowerdir=/etc,upperdir=$SCRATCH/etc/upper,workdir=$SCRATCH/etc/work" /etc
  fi
}

# --- overlayd -------------------------------------------------------------------------------------

start_overlayd() { # [ARG...]
  runs_overlayd || return 0
  mkdir -p "$STATE_DIR" "$(dirname "$PLUGIN_SOCKET")"
  touch "$SCRATCH/overlayd.started"
  # Its own session: Ctrl-C is for this script, which stops things in the right order.
  setsid "$OVERLAYD" serve --socket "$PLUGIN_SOCKET" --state-dir "$STATE_DIR" "$@" \
    >>"$OVERLAYD_LOG" 2>&1 </dev/null &
  OVERLAYD_PID=$!
  wait_for 10 overlayd_answers_or_ended
  is_running "$OVERLAYD_PID" || die "overlayd did not start: $(tail -n 3 "$OVERLAYD_LOG")"
}

# The socket of one that was killed is still there; the new one replaces it.
overlayd_answers_or_ended() {
  [[ -S $PLUGIN_SOCKET && ! $SCRATCH/overlayd.started -nt $PLUGIN_SOCKET ]] || ! is_running "$OVERLAYD_PID"
}

# Sets OVERLAYD_STATUS to what it exited with.
# shellcheck disable=SC2034  # read by those who stop it
OVERLAYD_STATUS=""
stop_overlayd() { end_process OVERLAYD_PID TERM OVERLAYD_STATUS; }
kill_overlayd() { end_process OVERLAYD_PID KILL OVERLAYD_STATUS; }

# --- dockerd --------------------------------------------------------------------------------------

data_root() { printf '%s/data' "$SCRATCH"; }

start_dockerd() { # [ARG...]
  write_dockerd_config
  # Inside the sandbox every default path (/run/docker.sock, /run/docker) is ours.
  #  --experimental    graph driver plugins are accepted only with it
  #  --bridge=none     no network is needed, so none is made and iptables is left alone
  setsid "${enter_engine[@]}" dockerd --config-file "$SCRATCH/daemon.json" --data-root "$(data_root)" \
    --experimental --storage-driver "$STORAGE_DRIVER" \
    --bridge=none --iptables=false --ip6tables=false --cgroup-parent "$CGROUP" \
    "$@" >>"$DOCKERD_LOG" 2>&1 </dev/null &
  DOCKERD_PID=$!
  wait_for 40 dockerd_answers_or_ended || die "dockerd does not answer"
  is_running "$DOCKERD_PID" || die "dockerd did not start"
}

# Otherwise /etc/docker/daemon.json would be read, and 20.10 would keep a trust key beside it, where 26.1
# knows of none.
write_dockerd_config() {
  local key='"exec-opts": ["native.cgroupdriver=cgroupfs"]'
  [[ $ENGINE != 20.10 ]] || key+=", \"deprecated-key-path\": \"$SCRATCH/key.json\""
  printf '{%s}\n' "$key" >"$SCRATCH/daemon.json"
}

dockerd_answers_or_ended() { docker version >/dev/null 2>&1 || ! is_running "$DOCKERD_PID"; }

# shellcheck disable=SC2034
DOCKERD_STATUS=""
stop_dockerd() { end_process DOCKERD_PID TERM DOCKERD_STATUS; }
kill_dockerd() { end_process DOCKERD_PID KILL DOCKERD_STATUS; }

# What is mounted below the scratch directory by anybody but the engine itself. That mounts its data root
# (with remapped users, a directory UID.GID in it) on itself, and leaves this behind when it was killed, and
# always where the root directory is itself a part of a file system mounted elsewhere, as in a container. For a
# managed plugin it mounts the directory in which the plugin mounts, where the plugin's mounts then show twice.
# The driver's home may be a file system of its own.
layer_mounts() {
  mounts_below "$SCRATCH" |
    grep -vxE "$SCRATCH|$(data_root)/$STORAGE_DRIVER|$(data_root)(/[0-9]+\.[0-9]+)?(/plugins/[0-9a-f]+/propagated-mount)?" |
    if runs_overlayd; then cat; else sort -u; fi || true
}

# --- both -----------------------------------------------------------------------------------------

is_running() { [[ -n $1 ]] && kill -0 "$1" 2>/dev/null; }

has_ended() { ! is_running "$1"; }

# Sends SIGNAL to the process in variable PIDVAR, waits for it and puts its exit status in STATUSVAR.
# One that does not end within a minute is killed, and fails.
end_process() { # PIDVAR SIGNAL STATUSVAR
  local -n pid_ref=$1 status_ref=$3
  local pid=$pid_ref
  pid_ref=""
  status_ref=0
  [[ -n $pid ]] || return 0
  kill -"$2" "$pid" 2>/dev/null || true
  if [[ $2 != KILL ]] && ! wait_for 60 has_ended "$pid"; then
    kill -KILL "$pid"
    wait "$pid" || true
    status_ref="no end"
    say "process $pid did not end on SIG$2" >&2
    return 1
  fi
  # bash has a word to say about killed jobs.
  # shellcheck disable=SC2034  # status_ref is the caller's variable
  wait "$pid" 2>/dev/null || status_ref=$?
}

# For the EXIT trap: everything down, in whatever state it is, without complaint.
stop_everything() {
  trap '' INT TERM HUP
  set +e
  stop_dockerd
  stop_overlayd
  end_stragglers
  local point
  while point=$(mounts_below "$SCRATCH" | tail -n 1) && [[ -n $point ]]; do
    umount --lazy "$(printf '%b' "$point")" || break
  done
  remove_cgroups
  find "$SCRATCH" -mindepth 1 -xdev -delete 2>/dev/null
}

# A killed engine leaves container processes and their shims behind.
end_stragglers() {
  local tries pid _
  for tries in TERM KILL KILL; do
    leftover_processes && return
    while read -r pid _; do
      [[ -z $pid ]] || kill -"$tries" "$pid" 2>/dev/null
    done <<<"$LEFT"
    sleep 0.5
  done
}

# The last of both logs, without what the engine says about its connections and its containerd.
show_logs() { # LINES
  local log
  for log in "$OVERLAYD_LOG" "$DOCKERD_LOG"; do
    [[ -s $log ]] || continue
    say "--- last lines of ${log##*/}"
    grep -vE 'module=grpc|msg="(loading|skip loading) plugin|starting signal loop|shim|ignoring event' "$log" | tail -n "$1"
  done
}

# --- images ---------------------------------------------------------------------------------------

# A root file system with busybox and what containers expect, at DIRECTORY.
make_busybox_root() { # DIRECTORY
  local busybox
  busybox=$(command -v busybox) || die "busybox is not installed; run scripts/setup"
  mkdir -p "$1"/{bin,dev,etc,proc,root,sys,tmp,usr,var}
  chmod 1777 "$1/tmp"
  chmod 0700 "$1/root"
  cp "$busybox" "$1/bin/busybox"
  local applet
  for applet in $("$busybox" --list); do
    [[ -e $1/bin/$applet ]] || ln -s busybox "$1/bin/$applet"
  done
  printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$1/etc/passwd"
  printf 'root:x:0:\nnogroup:x:65534:\n' >"$1/etc/group"
}

# Imports such a root as IMAGE, the same layer every time.
import_busybox() { # IMAGE
  local root=$SCRATCH/busybox-root
  [[ -d $root ]] || make_busybox_root "$root"
  tar --create --sort name --mtime @981173106 --numeric-owner --owner 0 --group 0 --directory "$root" . |
    docker import --change 'CMD ["sh"]' - "$1"
}
