# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# A sandbox for a whole Docker engine: its own mounts, its own processes, its own empty /run.
#
# Why: the demo and the tests must not meet an engine that is installed on the machine, nor each other,
# and must leave nothing behind even when killed. In here /run/docker/plugins/overlayd.sock is always
# free, and when process 1 of the sandbox ends, the kernel ends every process and drops every mount in it.
#
# A script calls `enter_sandbox "$@"` once, early: it starts itself again inside and does not return
# outside. Inside, SCRATCH names an empty directory on a real disk and CGROUP a control group of its own;
# both are removed at the end, whatever happens. Sourced after common.sh.

# Outside: run "$0 ARGS" in a sandbox, pass signals on, clean up, exit with its status.
# Inside: prepare and return.
enter_sandbox() { # ARGS...
  if [[ -n ${OVERLAYD_SANDBOX:-} ]]; then
    prepare_sandbox
    return
  fi
  need_root "it mounts file systems and runs a Docker engine"
  need_command unshare setpriv

  local base=${TMPDIR:-/var/tmp} status=0 child
  SCRATCH=$(mktemp -d "$base/overlayd.XXXXXX")
  CGROUP=/${SCRATCH##*/}
  # Layers are looked at by remapped users as well.
  chmod 0711 "$SCRATCH"
  check_scratch_filesystem

  # Job control gives the sandbox a process group of its own: Ctrl-C then reaches only this shell, which
  # passes it on once, and the script inside is not started with SIGINT ignored, as background jobs are.
  set -m
  OVERLAYD_SANDBOX=1 SCRATCH=$SCRATCH CGROUP=$CGROUP \
    unshare --mount --propagation private --pid --fork --kill-child --mount-proc \
    bash "$0" "$@" &
  child=$!
  set +m
  # shellcheck disable=SC2064  # the child of now is meant
  trap "forward_signal $child" INT TERM HUP
  while kill -0 "$child" 2>/dev/null; do
    wait "$child" && status=0 || status=$?
  done
  trap '' INT TERM HUP
  remove_scratch
  ((SIGNALLED == 0)) || status=130
  exit "$status"
}

# The first signal asks the script inside to clean up; another one does not wait for that.
SIGNALLED=0
forward_signal() { # PID
  # Process 1 ignores what it has no handler for, so a signal before it is ready would be lost.
  if ((SIGNALLED++)) || [[ ! -e $SCRATCH/ready ]]; then
    kill -KILL "$1" 2>/dev/null || true
  else
    # The whole group: what the script waits for must end too. unshare itself ignores SIGTERM.
    kill -TERM -- "-$1" 2>/dev/null || true
  fi
}

# overlayfs cannot have its upper directory on overlayfs, which is what a container's /tmp usually is.
check_scratch_filesystem() {
  local type
  type=$(stat -f -c %T "$SCRATCH")
  case $type in
    overlayfs | nfs | fuseblk | ramfs)
      rmdir "$SCRATCH"
      die "$SCRATCH is on $type, which cannot hold overlay layers; set TMPDIR to a directory on ext4 or xfs"
      ;;
  esac
}

# Inside, as process 1: /run is replaced, so that every well-known path in it is ours.
prepare_sandbox() {
  local resolv
  trap 'exit 130' INT TERM HUP
  : >"$SCRATCH/ready"
  resolv=$(cat /etc/resolv.conf 2>/dev/null || true)
  mount -t tmpfs -o mode=0755 tmpfs /run
  # On many systems it is a link into /run; the engine wants the file to be there.
  if [[ -L /etc/resolv.conf && ! -e /etc/resolv.conf ]]; then
    mkdir -p "$(dirname "$(readlink -m /etc/resolv.conf)")"
    printf '%s\n' "$resolv" >"$(readlink -m /etc/resolv.conf)"
  fi
  if ! grep -qE ' - cgroup2? ' /proc/self/mountinfo; then
    die "no control groups are mounted; the Docker engine needs them"
  fi
  # Settings of the caller that would point the client or the engine at something else.
  unset DOCKER_HOST DOCKER_CONTEXT DOCKER_DRIVER DOCKER_TLS_VERIFY DOCKER_CERT_PATH DOCKER_BUILDKIT \
    DOCKER_DEFAULT_PLATFORM BUILDKIT_PROGRESS
  export DOCKER_CONFIG=$SCRATCH/client
  mkdir -p "$DOCKER_CONFIG"
}

remove_scratch() {
  remove_cgroups
  rm -rf --one-file-system "$SCRATCH"
  if [[ -e $SCRATCH ]]; then
    say "left behind: $SCRATCH" >&2
    exit 1
  fi
}

remove_cgroups() {
  find /sys/fs/cgroup -depth -type d -path "*$CGROUP*" -exec rmdir {} + 2>/dev/null || true
}

# --- what is left, seen from inside ---------------------------------------------------------------

# Processes other than this script, one "PID COMMAND" a line. Nothing here may fork: it would see itself.
LEFT=""
leftover_processes() {
  local dir name
  LEFT=""
  for dir in /proc/[0-9]*; do
    [[ ${dir##*/} == "$$" ]] && continue
    # It may end while we look.
    { read -r name <"$dir/comm"; } 2>/dev/null || continue
    LEFT+="${dir##*/} $name"$'\n'
  done
  [[ -z $LEFT ]]
}

# Mount points at or below DIRECTORY, one a line, as mountinfo spells them.
mounts_below() { # DIRECTORY
  local _ point
  while read -r _ _ _ _ point _; do
    if [[ $point == "$1" || $point == "$1"/* ]]; then
      printf '%s\n' "$point"
    fi
  done </proc/self/mountinfo
}
