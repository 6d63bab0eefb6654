# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# export is the whole tree of a container, stopped or running
begin_scenario

docker run --network none --name box busybox sh -c '
  mkdir -p /d/new && echo more >>/etc/passwd && echo one >/d/new/one && ln -s one /d/new/link
  rm /etc/group && rm -r /var && mkdir /var && touch /var/again
'
layer=$(docker inspect --format '{{.GraphDriver.Data.MergedDir}}' box | xargs dirname | xargs basename)
base=$(layers_on_disk | grep -v "^$layer")
# 26.1 keeps the layer of a container that was exported mounted and for ever, with any driver.
if [[ $ENGINE == 26.1 ]]; then
  # shellcheck disable=SC2034  # read at the end of the scenario
  ENGINE_LOSES="$layer(-init)?|$base"
fi

export_to() { # NAME
  mkdir "$SCRATCH/$1"
  docker export box | tar --extract --directory "$SCRATCH/$1"
}
export_to stopped
same "export has what was written" "more one one" \
  "$(cd "$SCRATCH/stopped" && echo "$(tail -n 1 etc/passwd)" "$(cat d/new/one)" "$(readlink d/new/link)")"
same "and what was there" "$(sha256sum <"$(command -v busybox)")" "$(sha256sum <"$SCRATCH/stopped/bin/busybox")"
same "without what was removed" "again passwd" "$(cd "$SCRATCH/stopped" && echo "$(ls var)" "$(cd etc && ls -d group passwd 2>/dev/null)")"

docker commit box committed >/dev/null
docker rm box >/dev/null
if [[ $ENGINE == 20.10 ]]; then
  run_idle box committed
  docker exec box sh -c 'echo two >/d/new/two'
  export_to running
  same "a running container is exported as it is" "one two" "$(cd "$SCRATCH/running/d/new" && cat one two | xargs)"
  docker exec box sh -c 'echo on >>/d/new/two'
  same "and runs on" "two on" "$(docker exec box cat /d/new/two | xargs)"
fi
