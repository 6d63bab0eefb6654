# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# two engines on one machine, each with a managed plugin of the same name: neither meets the other's layers
# needs: overlayd
#
# shellcheck disable=SC2030,SC2031,SC2034  # the subshell is the point of it
begin_managed overlayd:latest
run_idle here busybox
docker exec here sh -c 'echo here >/log'
mounts=$(layer_mounts)

# The other engine, in a subshell: all that the steps leave on disk or remember is then its own.
(
  SCRATCH=$SCRATCH/other
  DOCKERD_LOG=$SCRATCH/dockerd.log
  export DOCKER_HOST=unix://$SCRATCH/docker.sock
  own=(--host "$DOCKER_HOST" --exec-root "$SCRATCH/exec" --pidfile "$SCRATCH/pid")
  DOCKERD_PID=""
  mkdir "$SCRATCH"
  begin_managed overlayd:latest "${own[@]}"
  run_idle there busybox
  docker exec there sh -c 'echo there >/log'
  same "the other engine's container has its files" "there" "$(docker exec there cat /log)"
  same "and is the only one" "there" "$(docker ps --all --format '{{.Names}}')"
  end_managed "${own[@]}"
  stop_dockerd
  say "$CASES $FAILED" >"$SCRATCH/counts"
)
read -r CASES FAILED <"$SCRATCH/other/counts"
same "the first engine's layers stay mounted" "$mounts" "$(layer_mounts)"
same "its container has its files" "here" "$(docker exec here cat /log)"
succeeds "and others start" run busybox true
end_managed
