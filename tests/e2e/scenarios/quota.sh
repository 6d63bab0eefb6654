# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# containers are limited to the size and the number of files that they, or all of an engine's, are given
# needs: quotas
begin_scenario

size_of_disk() { docker exec "$1" df -k / | awk 'NR == 2 { print $2 }'; } # CONTAINER

# What a program beyond its limit is told.
FULL="Disk quota exceeded"
[[ $(stat --file-system --format %T "$SCRATCH") != xfs ]] || FULL="No space left on device"

# As much as a container may, and 64 KiB more at least.
fill() { docker exec "$1" dd if=/dev/zero of=/large bs=64k count=400; } # CONTAINER

same "the engine is told that there are quotas" "true" "$(quota_row)"

# --- what a container asks for itself
run_idle small busybox --storage-opt size=20M
same "a container with a size sees a disk of it" "20480" "$(size_of_disk small)"
fails_with "and cannot write more" "$FULL" fill small
same "its files are there for other containers to have" "a commit" "$(docker commit small full >/dev/null && echo "a commit")"
same "whose own limit, if any, is another" "30 MiB" \
  "$(run full sh -c 'dd if=/dev/zero of=/more bs=1M count=30 2>/dev/null && echo "$(($(stat -c %s /more) >> 20)) MiB"')"
docker restart small >/dev/null
fails_with "it is full after it was stopped and started" "$FULL" \
  docker exec small dd if=/dev/zero of=/more bs=64k count=4
docker exec small rm -f /large /more
same "and has room when files were removed" "ok" "$(docker exec small dd if=/dev/zero of=/again bs=1M count=10 2>/dev/null && echo ok)"
fails_with "a container with a number of files cannot make more" "$FULL" \
  run --storage-opt inodes=200 busybox sh -c 'mkdir /many && cd /many && for n in $(seq 300); do : >$n || exit 1; done'
allow_error "storage option 'colour' is unknown"
fails_with "what no layer can be given is refused" "storage option 'colour' is unknown" run --storage-opt colour=red busybox true

# --- overlayd dies under it
if runs_overlayd; then
  kill_overlayd
  start_overlayd
else
  kill_plugin
fi
same "after a kill -9 the container is limited as before" "20480" "$(size_of_disk small)"
same "and so is a new one" "10240" "$(run --storage-opt size=10M busybox df -k / | awk 'NR == 2 { print $2 }')"

# --- what the engine gives to all
stop_dockerd
start_dockerd --storage-opt overlayd.size=12M --storage-opt overlayd.inodes=1000
same "an engine's size is each container's" "12288" "$(run busybox df -k / | awk 'NR == 2 { print $2 }')"
same "and its number of files" "1000" "$(run busybox df -i / | awk 'NR == 2 { print $2 }')"
same "but of one with a size of its own" "8192" "$(run --storage-opt size=8M busybox df -k / | awk 'NR == 2 { print $2 }')"
docker start small >/dev/null
same "one made before keeps what it was given" "20480" "$(size_of_disk small)"
context=$(new_context large <<'END'
FROM busybox
RUN dd if=/dev/zero of=/large bs=1M count=16
END
)
fails_with "a step of a classic build is a container like any" "$FULL" classic_build large "$context"
succeeds "one of BuildKit's has no limit" buildkit_build large "$context"
same "nor does what lies below a container count" "16777216" "$(run large stat -c %s /large)"
