# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# an image of 120 layers, which no mount call of the old kind can take with full paths
begin_scenario

context=$(new_context deep </dev/null)
{
  echo "FROM busybox"
  for i in $(seq 119); do
    echo "$i" >"$context/f$i"
    echo "COPY f$i /deep/"
  done
} >"$context/Dockerfile"
succeeds "build" buildkit_build deep "$context"
same "has all layers" 120 "$(docker image inspect deep --format '{{len .RootFS.Layers}}')"
same "each shows" "$(seq 119)" "$(run deep sh -c 'cat /deep/* | sort -n')"

docker run --network none --name top deep sh -c 'rm /deep/f1 && echo changed >/deep/f60'
same "a container on it changes the lowest as well as the middle" "C /deep
D /deep/f1
C /deep/f60" "$(changes_of top)"
record_container top top
docker commit top deeper >/dev/null
record_image deeper deeper 2
same "which can be committed" "2 118 changed" "$(run deeper sh -c 'cd /deep && echo $(cat f2) $(ls | wc -l) $(cat f60)')"

run_idle one-of-many deeper
succeeds "while a container runs on it" docker exec one-of-many touch /deep/new
docker save --output "$SCRATCH/deep.tar" deeper
docker rm --force one-of-many top >/dev/null
remove_everything
succeeds "saves and loads" docker load --quiet --input "$SCRATCH/deep.tar"
same "with all its layers" 121 "$(docker image inspect deeper --format '{{len .RootFS.Layers}}')"
same "and all its files" "2 118 changed" "$(run deeper sh -c 'cd /deep && echo $(cat f2) $(ls | wc -l) $(cat f60)')"
